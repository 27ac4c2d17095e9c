"""The operators that a PyTorch program may name: they compute on the tensors that they are given and nothing else.

Deny by default. What reads or writes files, gives memory that nobody has filled (`empty`, `resize_`), trusts its
arguments unchecked (`_unsafe_…`) or looks at storage (`as_strided`, `set_`) is not here
(https://pytorch.org/docs/stable/torch.compiler_ir.html).
"""

_ATEN = """
_adaptive_avg_pool2d _adaptive_avg_pool3d _cdist_forward _embedding_bag _log_softmax _softmax _to_copy _unsafe_view
_native_batch_norm_legit_no_training _scaled_dot_product_flash_attention_for_cpu _assert_scalar _assert_tensor_metadata
_trilinear _weight_norm_interface
abs acos acosh adaptive_avg_pool1d adaptive_avg_pool2d adaptive_avg_pool3d adaptive_max_pool1d adaptive_max_pool2d
add addbmm addcdiv addcmul addmm addmv addr alias all alpha_dropout amax amin aminmax any arange arccos arccosh arcsin
arcsinh arctan arctan2 arctanh argmax argmin argsort asin asinh atan atan2 atanh avg_pool1d avg_pool2d avg_pool3d
baddbmm batch_norm bilinear bitwise_and bitwise_left_shift bitwise_not bitwise_or bitwise_right_shift bitwise_xor bmm
broadcast_to bucketize cat cdist ceil celu chunk clamp clamp_max clamp_min clip clone concat concatenate
constant_pad_nd contiguous conv1d conv2d conv3d conv_transpose1d conv_transpose2d conv_transpose3d convolution copy
copysign cos cosh cosine_similarity cross cummax cummin cumprod cumsum deg2rad detach diag diag_embed diagonal diff
dist div divide dot dropout einsum elu embedding embedding_bag eq erf erfc erfinv exp exp2 expand expand_as expm1 eye
feature_dropout fill flatten flip fliplr flipud floor floor_divide fmax fmin fmod frac full full_like gather ge gelu glu
greater greater_equal grid_sampler grid_sampler_2d group_norm gru gt hardshrink hardsigmoid hardswish hardtanh
heaviside hstack hypot index index_add index_fill index_put index_select instance_norm isclose isfinite isinf isnan item
kthvalue layer_norm le leaky_relu lerp less less_equal lgamma lift_fresh_copy linalg_norm linalg_vector_norm linear
linspace log log10 log1p log2 log_sigmoid log_softmax logaddexp logaddexp2 logcumsumexp logical_and logical_not
logical_or logical_xor logit logsumexp lstm lt masked_fill masked_select matmul max max_pool1d max_pool2d
max_pool2d_with_indices max_pool3d max_pool3d_with_indices maximum mean median min minimum mish mm moveaxis movedim mul
multiply mv nan_to_num nanmean nansum narrow native_batch_norm native_dropout native_group_norm native_layer_norm ne neg
negative new_full new_ones new_zeros nonzero norm normalize not_equal numpy_T one_hot ones ones_like outer pad
pairwise_distance permute pixel_shuffle pixel_unshuffle polar pow prelu prod quantile rad2deg reciprocal
reflection_pad1d reflection_pad2d reflection_pad3d relu relu6 remainder repeat repeat_interleave replication_pad1d
replication_pad2d replication_pad3d reshape reshape_as rms_norm rnn_relu rnn_tanh roll rot90 round rrelu rsqrt rsub
scalar_tensor scaled_dot_product_attention scatter scatter_add scatter_reduce searchsorted select select_scatter selu
sigmoid sign sgn silu sin sinc sinh slice slice_scatter softmax softplus softshrink sort special_erf special_expit
split split_with_sizes sqrt square squeeze stack std sub subtract sum swapaxes swapdims sym_constrain_range
sym_constrain_range_for_size sym_numel sym_size t take take_along_dim tan tanh tanhshrink tensor_split threshold tile to
topk transpose tril triu true_divide trunc type_as unbind unflatten unfold unsqueeze upsample_bicubic2d
upsample_bilinear2d upsample_linear1d upsample_nearest1d upsample_nearest2d upsample_nearest3d upsample_trilinear3d var
var_mean view view_as vstack where xlogy zeros zeros_like
"""
ATEN = frozenset(_ATEN.split())
"""Names in `torch.ops.aten`; none that changes a tensor in place, because threads share the weights."""

_SIZES = "add and_ eq floordiv ge getitem gt le lt mod mul ne neg not_ or_ pos pow sub truediv"
SIZES = frozenset(
    [f"_operator.{name}" for name in _SIZES.split()]
    + [f"torch.sym_{name}" for name in ("float", "int", "ite", "max", "min", "not")]
    + [f"math.{name}" for name in ("ceil", "floor", "trunc")]
)
"""What computes on sizes."""

_PREFIX = "torch.ops.aten."


def is_known(target: str) -> bool:
    """Whether a program may name this operator."""
    if target in SIZES:
        return True
    name, _, overload = target.removeprefix(_PREFIX).partition(".")
    return target.startswith(_PREFIX) and name in ATEN and overload.isidentifier() and not overload.startswith("_")
