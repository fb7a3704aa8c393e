"""The conformance suite on the objectives that corrupt or split text."""

from archbench.testing.objective import ObjectiveConformance
from archbench_denoising.prefix_lm import PrefixLmConfig
from archbench_denoising.replaced_tokens import ReplacedTokenDetectionConfig
from archbench_denoising.span_corruption import SpanCorruptionConfig


class TestPrefixLm(ObjectiveConformance):
    config = PrefixLmConfig()
    # Prefixes are uniform: what they leave scatters by 0.29 of a row, over these rows by 0.009.
    rows = 1024


class TestSpanCorruption(ObjectiveConformance):
    config = SpanCorruptionConfig()


class TestSpanCorruptionOfLongSpans(ObjectiveConformance):
    config = SpanCorruptionConfig(noise_density=0.5, mean_span_length=8.0)
    seq_len = 48


class TestReplacedTokenDetection(ObjectiveConformance):
    config = ReplacedTokenDetectionConfig()


class TestReplacedTokenDetectionWithALargeGenerator(ObjectiveConformance):
    config = ReplacedTokenDetectionConfig(mask_probability=0.3, generator_size=1.0)
