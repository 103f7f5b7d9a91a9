"""The mutations of `make mutants` change what they say, and nothing of the working tree."""

import ast

import pytest
import yaml

from benchmarks import mutants


@pytest.mark.parametrize("module", mutants.MODULES)
def test_each_mutation_is_another_valid_program(module):
    text = mutants.source(module)
    found = mutants.generated(module)
    assert len({mutation.name for mutation in found}) == len(found)
    original = ast.dump(ast.parse(text))
    for mutation in found:
        assert ast.dump(ast.parse(mutation.apply(text))) != original
    assert mutants.source(module) == text


def test_the_mutations_that_survived_once_can_still_be_made():
    found = list(mutants.named())
    assert len(found) == len(mutants.NAMED) >= 14
    for mutation in found:
        text = mutants.source(mutation.module)
        changed = mutation.apply(text)
        assert changed != text
        ast.parse(changed)


def test_what_is_drawn_depends_on_the_seed_and_not_on_the_order():
    every = mutants.generated("alignment/cca")
    assert mutants.drawn(every, 9, 0) == mutants.drawn(reversed(every), 9, 0)
    assert mutants.drawn(every, 9, 0) != mutants.drawn(every, 9, 1)
    assert len(mutants.drawn(every, 10_000, 0)) == len(every)


def test_an_explanation_is_a_sentence():
    explained = yaml.safe_load(mutants.SURVIVORS.read_text(encoding="utf-8"))
    assert all(len(reason.split()) > 3 for reason in explained.values())
