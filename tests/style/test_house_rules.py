"""The house rules: each is kept by the whole project, and each can be broken."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from tests.style.banned_names import BANNED_NAME_RULES
from tests.style.comments import COMMENT_RULES
from tests.style.leaks import LEAK_RULES
from tests.style.modules import MODULE_RULES
from tests.style.rules import Project, Rule, Source, project
from tests.style.sizes import SIZE_RULES
from tests.style.sql import SQL_RULES

RULES = (
    *SIZE_RULES,
    *BANNED_NAME_RULES,
    *SQL_RULES,
    *COMMENT_RULES,
    *MODULE_RULES,
    *LEAK_RULES,
)

each_rule = pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.name)


@each_rule
def test_the_project_keeps_the_rule_that(rule: Rule) -> None:
    findings = [str(finding) for finding in rule.find(project())]

    assert not findings, "\n".join(["", *findings])


@each_rule
def test_every_planted_example_is_caught_by_the_rule_that(rule: Rule) -> None:
    missed = [texts for texts in rule.planted if not list(rule.find(_project_of(texts)))]

    assert rule.planted
    assert missed == []


@each_rule
def test_what_only_looks_alike_is_spared_by_the_rule_that(rule: Rule) -> None:
    assert [str(finding) for finding in rule.find(_project_of(rule.spared))] == []


def test_the_project_that_is_searched_is_all_of_it() -> None:
    paths = {source.path for source in project()}

    assert {"pyproject.toml", "relay/core/checker.py", "tests/style/test_house_rules.py"} <= paths
    assert not any(path.startswith((".venv/", ".git/")) for path in paths)


def _project_of(texts: Mapping[str, str]) -> Project:
    return [Source(path, text) for path, text in texts.items()]
