"""The text encoder that AttnGAN, DM-GAN and DF-GAN are conditioned on: learnt by matching words to regions (Xu et al. 2018)."""
