"""Single damages to a file, as disks, transfers and editors make them: for tests of what reads it."""

import random
import re
from collections.abc import Iterator

_NUMBER = re.compile(rb"-?\d+(?:\.\d+)?(?:e[-+]?\d+)?")


def damages(whole: bytes, count: int, seed: int) -> Iterator[tuple[str, bytes]]:
    """`count` single damages of `whole`, each in words and as bytes: a flipped bit, a truncation, an edited number."""
    rng = random.Random(seed)
    numbers = list(_NUMBER.finditer(whole))
    for index in range(count):
        sort = index % 3
        if sort == 0:
            place, bit = rng.randrange(len(whole)), rng.randrange(8)
            yield f"bit {bit} of byte {place}", _replaced(whole, place, place + 1, bytes([whole[place] ^ (1 << bit)]))
        elif sort == 1:
            length = rng.randrange(len(whole))
            yield f"cut to {length} bytes", whole[:length]
        else:
            found = rng.choice(numbers)
            edited = _edited(found.group(), rng)
            words = f"{found.group().decode()} at byte {found.start()} made {edited.decode()}"
            yield words, _replaced(whole, found.start(), found.end(), edited)


def _replaced(whole: bytes, start: int, end: int, new: bytes) -> bytes:
    return whole[:start] + new + whole[end:]


def _edited(number: bytes, rng: random.Random) -> bytes:
    """Another number: one digit changed, the sign, the size, or out of all bounds."""
    place = rng.choice([index for index, digit in enumerate(number) if chr(digit).isdigit()])
    other = str((int(chr(number[place])) + rng.randint(1, 9)) % 10).encode()
    digit = _replaced(number, place, place + 1, other)
    return rng.choice([digit, digit, b"-" + number.removeprefix(b"-"), number + b"0", b"1e308", b"1" + b"0" * 400])
