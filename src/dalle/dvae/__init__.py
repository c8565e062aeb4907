"""Images <-> codes: the discrete variational autoencoder of the paper's first stage (sec. 2.1, App. A)."""
