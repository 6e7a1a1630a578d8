"""The words that tell what a clause does: claim, deny, suppose, remember, or quote. Stems, as `words` makes them."""

from __future__ import annotations

from typing import Final

from tercio_conflicts.state.contradictions.words import stem, stems_of


def _stems(text: str) -> frozenset[str]:
    return frozenset(map(stem, text.split()))


def _phrases(text: str) -> tuple[tuple[str, ...], ...]:
    return tuple(stems_of(line) for line in text.strip().splitlines())


SUPPOSING: Final = _stems(
    "if could might would maybe perhaps possibly consider considering considered evaluate evaluating evaluated"
    " explore exploring investigate investigating alternative alternatively whether potentially someday hypothetically"
    " suppose assuming unless should-we"
)
SUPPOSING_PHRASES: Final = _phrases(
    "an option\nshould we\nlook into\none day\nopen question\nto be decided\nwe may\nmay replace\nmay move"
)
REMEMBERING: Final = _stems("previously formerly originally was were had ago historically tried")
REMEMBERING_PHRASES: Final = _phrases(
    "we used\nused to run\nused to use\nlast year\nlast month\nlast quarter\nback then\nin the past\nat first"
)
QUOTING: Final = _stems(
    "says said say recommends recommended suggests suggested asked asks claims claimed wrote argues argued thinks wants"
)
QUOTING_PHRASES: Final = _phrases("according to")

DENYING: Final = _stems(
    "not don't doesn't won't can't cannot never no none neither avoid ban banned forbid forbidden prohibit drop remove"
    " delete disable stop reject refuse ignore deprecate deprecated retire abandon off dead overkill"
    " disallow disallowed"
    " isn't aren't mustn't shouldn't without nothing exclude eliminate skip"
)
"""Each turns the claim of its segment round; two turn it back."""
DENYING_PHRASES: Final = _phrases(
    "get rid of\ntoo heavy\ntoo slow\ntoo expensive\nmove away\nno longer\nout of the question"
)
CLAIMING_PHRASES: Final = _phrases("not only\nno later than\nno more than\nno less than\nno fewer than\nnot be lost")
"""Denying words that deny nothing."""
TURNING: Final = _phrases(
    "instead of\nrather than\nin place of\nas opposed to\nwithout\nexcept\nexcluding\nunlike\nover\nnot"
)
"""They end a segment: what follows is denied, as long as something stands before."""
PREFERRING: Final = _stems("prefer choose pick favor select chose")
"""Only after these `over` turns."""
MOVING: Final = _stems("migrate move switch port change convert transition replace swap upgrade")
NEGATED: Final = {stem(f"un{word}"): stem(word) for word in ("encrypted", "signed", "typed", "cached", "compressed")}
"""`unencrypted` is `not encrypted`."""
EVERYTHING: Final = _stems("everything all anything everyone")
"""Before `but` these make an exception, not a clause."""
JOINING: Final = _stems("but however whereas while although though")
"""They begin a clause."""

EMPTY: Final = _stems(
    "a an the this that these those our your its it is are be been being we i you they he she will shall"
    " should must can"
    " do does did doing use using used adopt go going with choose pick select make making let have has get stay stick"
    " keep set give standardise prefer by as of to from and or so for in on at than then there here also too yet now"
    " well just only plain simple simply fine ok okay good real right fit enough default everywhere always throughout"
    " require need support want allow allowed enable turn leave per each every any all both one's us me them which who"
    " new approach solution option way thing service project package repository repo code system app application use"
    " into onto up out back more newer later continue again still first next may"
)
"""They say nothing about what is chosen."""
ADOPTING: Final = _stems("use adopt choose pick select go make prefer standardise have set")
"""Verbs that take something."""
PLACING: Final = _stems("for in on between during within inside at")
"""What follows says for what a choice holds."""
COMPLEMENTS: Final = _stems("in with by through at on to against via into under behind from as")
"""What follows says where or by what something is done."""
SETTLING: Final = _stems(
    "store keep put place terminate host run persist save write build format sign hash encode encrypt serialise bundle"
    " render deploy manage train schedule index validate authenticate configure read version identify generate hold"
    " listen return style compile package test publish send cache"
)
"""What is done by one means, or in one place: with another one it is done otherwise."""
ACTING: Final = SETTLING | _stems(
    "add rename extract upgrade alert fix log document review sort process poll push retry raise serve split treat mock"
    " check cover commit order react reindex boost invalidate rotate compress introduce break merge wrap"
    " expose call drop"
    " remove delete back show start limit accept answer refactor measure pool deliver"
)
"""An answer that begins with one of these is no mere name."""
STATING: Final = frozenset(
    {"has", "have", "is", "are", "must", "can", "come", "comes", "need", "needs", "carry", "expire", "be"}
)
"""A sentence with one of these is no mere name either."""
AREAS: Final = _stems(
    "frontend backend client server public internal external private test testing production prod"
    " development dev staging"
    " ios android web desktop mobile notebook script admin local ci internal api cli nightly demand reader writer"
)
"""Where a choice holds, also without a word as `for`."""
SLOTS: Final = _stems(
    "name color format version type size level license strategy style convention provider library framework tool engine"
    " language model platform manager runner branch algorithm scheme port place location owner mode policy encoding"
    " broker client store database key theme font timeout limit protocol database registry scheduler"
)
"""A subject with one of these has one answer."""
LEAST: Final = _phrases(
    "at least\nor newer\nor later\nor more\nand newer\nand later\nand up\nor above\nor"
    " higher\nminimum\nmore than\nno less than\nno fewer than\nmin"
)
MOST: Final = _phrases(
    "at most\nup to\nno more than\nmaximum\nmax\nor less\nor fewer\nor below\nless than\nfewer"
    " than\nunder\nno later than\nlimit\ncap"
)
EXCEPTION: Final = _stems("exception except unlike deviate override overriding")
"""An inner scope that says so does not contradict an outer one."""
