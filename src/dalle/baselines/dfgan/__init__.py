"""DF-GAN (Tao et al. 2020, the paper's rival in Fig. 7), written from its description: one generator, one discriminator."""
