"""Human evaluation: from pairs of pictures to pages, from votes to the numbers of Fig. 7 (PAPER App. F)."""
