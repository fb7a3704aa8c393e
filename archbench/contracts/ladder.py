"""The ladder of shapes: which width and depth a model of a wanted size has. Importing this loads no torch.

A scan compares sizes, so the shape must move smoothly with the size. One rule serves all architectures: depth follows
width as `n_layers = 2 + d_model / 77` (2 layers of width 20 at 10 thousand parameters, 12 of 768 as in GPT-2 small,
about 18 of 1250 at 350 million) up to 40 layers, from where on the width grows alone; the feed-forward layer is four
times as wide as the model (Kaplan et al. 2020, section 2), heads are 64 wide where the model is large and narrower
where it is small. Kaplan et al. (section 3.1) found the loss to move by 3 % only over a fortyfold range of the aspect
ratio. Where no such shape comes within 5 % of the wanted size, as between small widths, the feed-forward layer is 3.5
or 4.5 times as wide instead.
"""

import math
from bisect import bisect_left
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property, lru_cache

from archbench.contracts.architecture import ArchitectureConfig, ModelDims

_WIDTH_PER_LAYER = 77
_MAX_LAYERS = 40
_LARGEST_WIDTH = 8192
_SMALLEST_WIDTH = 8
_TOLERANCE = 0.05
_AROUND = 3
"""Counted rungs on both sides of a target of which the nearest is taken: sizes may step back a little."""
_WIDER = 1.25
"""How far from its neighbours a counted rung is looked for, where no nearer one has the size."""
_POINTED_TRIES = 6
"""After which a search goes on by halving."""
_Rung = tuple[int, ModelDims]


def nearest_dims(
    target_params: float,
    num_params: Callable[[ModelDims], int],
    *,
    vocab_size: int,
    seq_len: int,
    accept: Callable[[ModelDims], bool] = lambda dims: True,
    adapt: Callable[[ModelDims], ModelDims] = lambda dims: dims,
) -> ModelDims:
    """The rung of the shared ladder whose size is nearest to `target_params`, at most 5 % away.

    `adapt` makes of a shape of the ladder what the architecture builds at that width, such as twice as many layers
    that are half as large; `num_params` says how many non-embedding parameters the result has, `accept` which results
    the architecture can build. A larger target never gives a smaller model.

    Raises ValueError, naming the nearest possible size, where no rung lies within 5 %.
    """
    return _Ladder(num_params, vocab_size, seq_len, accept, adapt).nearest(target_params)


@dataclass(frozen=True)
class _Ladder:
    """The rungs of one architecture for one vocabulary and context; arguments as of `nearest_dims`."""

    num_params: Callable[[ModelDims], int]
    vocab_size: int
    seq_len: int
    accept: Callable[[ModelDims], bool]
    adapt: Callable[[ModelDims], ModelDims]

    def nearest(self, target_params: float) -> ModelDims:
        """See `nearest_dims`."""
        if not (math.isfinite(target_params) and target_params > 0):
            raise ValueError(f"a size of {target_params} parameters is impossible; give a positive number such as 1e5")
        if not self.regular:
            raise ValueError("the architecture accepts no shape of the ladder; loosen its constraints")
        around = _neighbours(self.regular, target_params)
        if _distance(around, target_params) > _TOLERANCE:
            # Only what lies between the two regular rungs, so that sizes never step back from one target to the next.
            lowest, highest = around[0][0], around[-1][0]
            between = [rung for rung in self.irregular if lowest < rung[0] < highest]
            around += _neighbours(between, target_params)
        if _distance(around, target_params) > _TOLERANCE:
            raise ValueError(
                f"no shape has about {target_params:,.0f} non-embedding parameters; the nearest has"
                f" {_nearest(around, target_params)[0]:,} (possible: {self.regular[0][0]:,} to {self.regular[-1][0]:,})"
            )
        return _nearest(around, target_params)[1]

    @cached_property
    def regular(self) -> list[_Rung]:
        """Rungs with a feed-forward layer four times as wide as the model, smallest first."""
        return self._rungs(8)

    @cached_property
    def irregular(self) -> list[_Rung]:
        """Those with one 3.5 or 4.5 times as wide."""
        return self._rungs(7, 9)

    def _rungs(self, *half_ratios: int) -> list[_Rung]:
        rungs = ((self.num_params(dims), dims) for dims in self.shapes(*half_ratios))
        return sorted(rungs, key=lambda rung: rung[0])

    def shapes(self, *half_ratios: int, more_layers: int = 0) -> Iterator[ModelDims]:
        """What the architecture can build, with a feed-forward layer of each of `half_ratios` over 2.

        more_layers: how much deeper than the rule has it.
        """
        for n_layers, d_model, n_heads in _shapes():
            for half_ratio in half_ratios:
                dims = self.adapt(
                    ModelDims(
                        vocab_size=self.vocab_size,
                        seq_len=self.seq_len,
                        d_model=d_model,
                        n_layers=n_layers + more_layers,
                        n_heads=n_heads,
                        d_ff=half_ratio * d_model // 2,
                    )
                )
                if self.accept(dims):
                    yield dims


@dataclass(frozen=True)
class _CountedLadder(_Ladder):
    """A ladder of models that are built to be counted: only those near a target are."""

    def nearest(self, target_params: float) -> ModelDims:
        """See `nearest_dims`."""
        if not (math.isfinite(target_params) and target_params > 0):
            raise ValueError(f"a size of {target_params} parameters is impossible; give a positive number such as 1e5")
        shapes = self._regular_shapes
        if not shapes:
            raise ValueError("the architecture accepts no shape of the ladder; loosen its constraints")
        place = self._place(target_params)
        around = self._counted(shapes[max(place - _AROUND, 0) : place + _AROUND])
        below, above = (_plain_size(shapes[max(min(at, len(shapes) - 1), 0)]) for at in (place - 1, place))
        for wider in (1.0, _WIDER):
            if _distance(around, target_params) > _TOLERANCE:
                low, high = below / wider, above * wider
                around += self._counted([one for one in self._other_shapes if low < _plain_size(one) < high])
        if _distance(around, target_params) > _TOLERANCE:
            raise ValueError(
                f"no shape has about {target_params:,.0f} non-embedding parameters; the nearest has"
                f" {_nearest(around, target_params)[0]:,}, the smallest {self.num_params(shapes[0]):,}"
            )
        return _nearest(around, target_params)[1]

    def _place(self, target_params: float) -> int:
        """Where in the regular shapes the first one stands that has the wanted size, as if sizes rose all along.

        Tries where a plain Transformer of that size would stand, then where the ratio found there points to.
        """
        shapes = self._regular_shapes
        low, high, guess = 0, len(shapes), target_params
        for tries in range(len(shapes)):
            if low == high:
                break
            pointed = bisect_left(shapes, guess, key=_plain_size) if tries < _POINTED_TRIES else (low + high) // 2
            middle = min(max(pointed, low), high - 1)
            size = self.num_params(shapes[middle])
            low, high = (middle + 1, high) if size < target_params else (low, middle)
            guess = _plain_size(shapes[middle]) * target_params / size
        return low

    def _counted(self, shapes: Sequence[ModelDims]) -> list[_Rung]:
        return sorted(((self.num_params(dims), dims) for dims in shapes), key=lambda rung: rung[0])

    @cached_property
    def _regular_shapes(self) -> list[ModelDims]:
        """Of regular rungs, each once, by the size of a plain Transformer of that shape."""
        return sorted(dict.fromkeys(self.shapes(8)), key=_plain_size)

    @cached_property
    def _other_shapes(self) -> list[ModelDims]:
        """Between them: another feed-forward layer, a layer more, or both."""
        others = dict.fromkeys([*self.shapes(7, 9), *self.shapes(7, 8, 9, more_layers=1)])
        return list(others.keys() - set(self._regular_shapes))


def _plain_size(dims: ModelDims) -> float:
    """Parameters of a plain Transformer of this shape, or nearly so."""
    return float(dims.n_layers * dims.d_model * (4 * dims.d_model + 2 * dims.d_ff))


@dataclass(frozen=True, slots=True)
class _Settings:
    """An architecture by what its ladder hangs on; two that say the same are the same."""

    kind: type
    text: str
    config: "LadderConfig" = field(compare=False)


class LadderConfig(ArchitectureConfig):
    """An architecture whose sizes are rungs of the shared ladder."""

    def sized_for(self, target_params: float, *, vocab_size: int, seq_len: int) -> ModelDims:
        """See `ArchitectureConfig.sized_for`."""
        settings = _Settings(type(self), self.model_dump_json(), self)
        ladder_of = _counted_ladder_of if self.costs_are_counted else _ladder_of
        return ladder_of(settings, vocab_size, seq_len).nearest(target_params)

    def size_of(self, dims: ModelDims) -> int:
        """What the ladder takes for the size of a rung: its parameters without embeddings."""
        return self.num_params(dims).non_embedding

    def adapted(self, dims: ModelDims) -> ModelDims:
        """What the architecture builds at the width of `dims`, a rung of the shared ladder; usually the rung itself."""
        return dims

    def on_ladder(self, dims: ModelDims) -> bool:
        """Whether an adapted rung may be chosen; usually where it has no problem.

        A constraint of the context, which no other rung mends, is left to `problems` to tell.
        """
        return not self.problems(dims)


@lru_cache(maxsize=16)
def _ladder_of(settings: _Settings, vocab_size: int, seq_len: int) -> _Ladder:
    """The ladder of an architecture; a scan that matches costs asks it for hundreds of sizes."""
    config = settings.config
    return _Ladder(config.size_of, vocab_size, seq_len, config.on_ladder, config.adapted)


@lru_cache(maxsize=16)
def _counted_ladder_of(settings: _Settings, vocab_size: int, seq_len: int) -> _CountedLadder:
    config = settings.config
    return _CountedLadder(config.size_of, vocab_size, seq_len, config.on_ladder, config.adapted)


def with_gated_feed_forward(dims: ModelDims) -> ModelDims:
    """`dims` with a feed-forward layer two thirds as wide, for `nearest_dims(adapt=...)`.

    The three matrices of a gated layer then have as many parameters as the two of a plain one (Shazeer 2020,
    arXiv 2002.05202, section 2). Widths are even, and multiples of 8 where the model is wide.
    """
    multiple = 2 if dims.d_model < 128 else 8
    return dims.model_copy(update={"d_ff": multiple * round(2 * dims.d_ff / (3 * multiple))})


def _neighbours(rungs: list[_Rung], target_params: float) -> list[_Rung]:
    """The last rung below the target and the first one from there on, as far as they exist."""
    place = bisect_left(rungs, target_params, key=lambda rung: rung[0])
    return rungs[max(place - 1, 0) : place + 1]


def _nearest(rungs: list[_Rung], target_params: float) -> _Rung:
    return min(rungs, key=lambda rung: abs(math.log(rung[0] / target_params)))


def _distance(rungs: list[_Rung], target_params: float) -> float:
    return abs(_nearest(rungs, target_params)[0] / target_params - 1.0)


@lru_cache(maxsize=1)
def _shapes() -> tuple[tuple[int, int, int], ...]:
    """(n_layers, d_model, n_heads) of every regular rung: plain models of 2 thousand to 30 billion parameters.

    Models whose layers share their parameters are wider at a size than all others, and need the widest.
    """
    shapes = []
    for n_layers in range(2, _MAX_LAYERS + 1):
        # A depth serves the sizes between those at which the rule asks for half a layer less and half a layer more.
        lowest = _width_at(n_layers, n_layers - 0.5)
        highest = _width_at(n_layers, n_layers + 0.5) if n_layers < _MAX_LAYERS else _LARGEST_WIDTH + 1
        shapes += [
            (n_layers, d_model, n_heads)
            for d_model in _widths(highest)
            if d_model >= lowest
            for n_heads in _heads(d_model)
        ]
    return tuple(shapes)


def _width_at(n_layers: int, wanted_layers: float) -> float:
    """The width at which a model of `n_layers` has the size for which the rule wants `wanted_layers`."""
    return _WIDTH_PER_LAYER * max(wanted_layers - 2.0, 0.0) * math.sqrt(wanted_layers / n_layers)


def _widths(highest: float) -> Iterator[int]:
    d_model = _SMALLEST_WIDTH
    while d_model < highest:
        yield d_model
        d_model += 2 if d_model < 128 else 4 if d_model < 256 else 8 if d_model < 512 else 16


def _heads(d_model: int) -> list[int]:
    """The number of heads for a width, or none if no division gives heads of a sensible width.

    Heads are about d_model^(2/3) wide, 64 at most: 10 at width 20, 16 at 64, 32 at 192, 64 from 512 on. Wider models
    have heads of whole multiples of 4 and 8, for which accelerators have fast kernels.
    """
    nearest = _nearest_head_width(d_model, multiple=1 if d_model < 128 else 4 if d_model < 256 else 8)
    return [d_model // nearest] if 0.5 < nearest / _head_width(d_model) < 2.0 else []


def _head_width(d_model: int) -> float:
    return min(64.0, math.pow(d_model, 2 / 3))


def _nearest_head_width(d_model: int, *, multiple: int) -> int:
    """The multiple of `multiple` that divides the width and is nearest to what the rule asks for; or the width."""
    widths = [width for width in range(multiple, d_model + 1, multiple) if d_model % width == 0]
    return min(widths, key=lambda width: abs(math.log(width / _head_width(d_model))), default=d_model)


def with_depth_of_its_width(dims: ModelDims) -> ModelDims:
    """`dims` with the one depth that the rule gives to its width, for `nearest_dims(adapt=...)`.

    The ladder has some widths at two depths, of which the size chooses one; where layers share their parameters, the
    size does not depend on the depth and cannot choose.
    """
    return dims.model_copy(update={"n_layers": min(_MAX_LAYERS, round(2 + dims.d_model / _WIDTH_PER_LAYER))})


def with_even_heads(dims: ModelDims) -> ModelDims:
    """`dims` with heads of an even width, which rotary positions need, for `nearest_dims(adapt=...)`.

    Where the ladder's heads are odd, the even width nearest to its rule is taken. Raises ValueError for an odd d_model,
    which has none.
    """
    if dims.d_model % 2:
        raise ValueError(f"d_model {dims.d_model} is odd; heads of an even width need an even one")
    if dims.d_model // dims.n_heads % 2 == 0:
        return dims
    return dims.model_copy(update={"n_heads": dims.d_model // _nearest_head_width(dims.d_model, multiple=2)})
