"""Texts to ask about: a corpus, and what is made of it."""

import os
import random
import re
from pathlib import Path

from postgres import Missing
from subject import ROOT

DEFAULT = "postgresql/regress.nul"
LITERAL = re.compile(r"[0-9]+|'[^'\\]*'")


def load(paths):
    """The texts of the files: separated by NUL bytes in one that ends in `.nul`, else each file as one text."""
    shared = Path(os.environ.get("COFFERDAM_CORPORA", ROOT / "../shared/corpora"))
    texts = []
    for path in [Path(path) for path in paths] or [shared / DEFAULT]:
        if not path.is_file():
            raise Missing(
                f"the corpus {path} is missing; set COFFERDAM_CORPORA to the folder of the corpora, "
                "or name a file with --corpus"
            )
        content = path.read_bytes()
        parts = content.split(b"\0") if path.suffix == ".nul" else [content]
        for number, part in enumerate(parts):
            try:
                texts.append(part.decode())
            except UnicodeDecodeError:
                print(f"{path}: text {number} is not UTF-8 and left out")
    return texts


def mutants(texts, tokens, seed):
    """Endless (kind, text): one token deleted, doubled or swapped with its neighbour. None comes twice."""
    choose = random.Random(seed)
    candidates = [(text, places) for text, places in zip(texts, tokens) if places]
    seen = set(texts)
    while candidates:
        text, places = choose.choice(candidates)
        kind = choose.choice(("deleted", "doubled", "swapped"))
        mutant = MUTATIONS[kind](text, places, choose)
        if mutant not in seen:
            seen.add(mutant)
            yield kind, mutant


def delete(text, places, choose):
    """One token less."""
    start, end = choose.choice(places)
    return join(text[:start], text[end:])


def double(text, places, choose):
    """One token twice."""
    start, end = choose.choice(places)
    return text[:end] + " " + text[start:end] + text[end:]


def swap(text, places, choose):
    """Two neighbours in the other order."""
    if len(places) < 2:
        return text
    index = choose.randrange(len(places) - 1)
    (start, end), (next_start, next_end) = places[index : index + 2]
    between = text[end:next_start]
    left = join(join(text[:start], text[next_start:next_end]), between)
    return join(join(left, text[start:end]), text[next_end:])


MUTATIONS = {"deleted": delete, "doubled": double, "swapped": swap}


def join(left, right):
    """Both texts, with a blank between where they would become one token."""
    return f"{left} {right}" if left and right and glues(left[-1], right[0]) else left + right


def glues(left, right):
    """Whether two characters may belong to one token."""
    word = lambda c: c.isalnum() or c in "_$'\"."
    sign = lambda c: c in "+-*/<>=~!@#%^&|`?:"
    return (word(left) and word(right)) or (sign(left) and sign(right))


def with_other_literals(text, places, seed):
    """The text with other numbers and strings, where it has any."""
    choose = random.Random(f"{seed} {text}")
    pieces, at = [], 0
    for start, end in places:
        if LITERAL.fullmatch(text, start, end):
            number = text[start].isdigit()
            pieces += [text[at:start], str(choose.randrange(10, 10**6)) if number else f"'x{choose.randrange(10**6)}'"]
            at = end
    return "".join(pieces) + text[at:]
