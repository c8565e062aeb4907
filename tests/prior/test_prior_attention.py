import pytest
import torch
import torch.nn.functional as F

from dalle.prior.attention import attention_by_products
from dalle.prior.masks import MASKS, sequence_mask


@pytest.mark.parametrize("mask", MASKS)
def test_products_equal_the_fused_kernel_in_value_and_gradient(mask):
    allowed = sequence_mask(mask, 5, 4, 3)
    inputs = torch.randn(3, 2, 4, 21, 8, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    weights = torch.randn(2, 4, 21, 8, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    results = []
    for function in (attention_by_products, lambda q, k, v, m: F.scaled_dot_product_attention(q, k, v, attn_mask=m)):
        leaf = inputs.clone().requires_grad_()
        attended = function(*leaf.unbind(0), allowed)
        (attended * weights).sum().backward()
        results.append((attended.detach(), leaf.grad))
    torch.testing.assert_close(results[0], results[1])
