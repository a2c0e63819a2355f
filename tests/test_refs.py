"""Textual references to callables, names of callables, and checks of their arguments."""

from __future__ import annotations

import copy
import pickle
import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from apscheduler import _refs
from apscheduler.job import add_function_alias
from apscheduler.util import (
    asbool,
    asint,
    check_callable_args,
    get_callable_name,
    iscoroutinefunction_partial,
    maybe_ref,
    obj_to_ref,
    ref_to_obj,
    undefined,
)
from tests import jobs
from tests.jobs import Greeter


def nested() -> Callable[[], None]:
    def inner() -> None: ...

    return inner


class TestUndefined:
    def test_it_is_false_and_shows_as_such(self) -> None:
        assert not undefined
        assert repr(undefined) == "<undefined>"

    def test_a_copy_of_it_is_still_the_same_object(self) -> None:
        assert pickle.loads(pickle.dumps(undefined)) is undefined
        assert copy.deepcopy(undefined) is undefined


class TestConfigurationValues:
    @pytest.mark.parametrize("text", ["true", "Yes", " on ", "y", "T", "1"])
    def test_words_for_true(self, text: str) -> None:
        assert asbool(text) is True

    @pytest.mark.parametrize("text", ["false", "No", " off ", "n", "F", "0"])
    def test_words_for_false(self, text: str) -> None:
        assert asbool(text) is False

    def test_another_word_is_refused(self) -> None:
        with pytest.raises(ValueError, match='Unable to interpret value "maybe" as boolean'):
            asbool("maybe")

    def test_what_is_no_string_is_true_as_python_sees_it(self) -> None:
        assert asbool(5) is True
        assert asbool(None) is False

    def test_whole_numbers(self) -> None:
        assert asint("12") == 12
        assert asint(None) is None
        with pytest.raises(ValueError):
            asint("twelve")


class TestNamesOfCallables:
    @pytest.mark.parametrize(
        ("func", "name"),
        [
            (jobs.nothing, "nothing"),
            (Greeter, "Greeter"),
            (Greeter.greet, "Greeter.greet"),
            (Greeter("x").greet, "Greeter.greet"),
            (Greeter.make, "Greeter.make"),
            (Greeter.shout, "Greeter.shout"),
            (Greeter.Inner().greet, "Greeter.Inner.greet"),
            (Greeter("x"), "Greeter"),
            (partial(jobs.nothing), "partial"),
            (len, "len"),
            (nested(), "nested.<locals>.inner"),
        ],
    )
    def test_a_callable_is_known_by_its_qualified_name(self, func: Any, name: str) -> None:
        assert get_callable_name(func) == name

    def test_what_cannot_be_called_has_no_name(self) -> None:
        with pytest.raises(TypeError, match="Unable to determine a name for 5"):
            get_callable_name(5)


class TestReferences:
    @pytest.mark.parametrize(
        ("func", "ref"),
        [
            (jobs.nothing, "tests.jobs:nothing"),
            (Greeter, "tests.jobs:Greeter"),
            (Greeter.greet, "tests.jobs:Greeter.greet"),
            (Greeter.shout, "tests.jobs:Greeter.shout"),
            (Greeter.make, "tests.jobs:Greeter.make"),
            (Greeter.Inner, "tests.jobs:Greeter.Inner"),
            (len, "builtins:len"),
        ],
    )
    def test_a_reference_leads_back_to_the_object(self, func: Any, ref: str) -> None:
        assert obj_to_ref(func) == ref
        assert ref_to_obj(ref) == func

    def test_a_bound_method_is_referred_to_by_the_function_of_its_class(self) -> None:
        ref = obj_to_ref(Greeter("x").greet)
        assert ref_to_obj(ref) is Greeter.greet

    @pytest.mark.parametrize(
        ("func", "words"),
        [
            (lambda: None, "a lambda"),
            (nested(), "a nested function"),
            (partial(jobs.nothing), r"a partial\(\)"),
            (Greeter("x"), "an instance of Greeter"),
        ],
    )
    def test_what_cannot_be_found_again_has_no_reference(self, func: Any, words: str) -> None:
        with pytest.raises(ValueError, match=f"Cannot create a reference to {words}"):
            obj_to_ref(func)

    @pytest.mark.parametrize("ref", ["nocolon", ":name", "module:"])
    def test_a_reference_of_another_form_is_refused(self, ref: str) -> None:
        with pytest.raises(ValueError, match=f'"{ref}": expected the form "module:name"'):
            ref_to_obj(ref)

    def test_a_reference_has_to_be_a_string(self) -> None:
        with pytest.raises(TypeError, match="References must be strings"):
            ref_to_obj(5)  # type: ignore[arg-type]

    def test_a_missing_module_is_told_with_its_cause(self) -> None:
        with pytest.raises(LookupError, match="nowhere:f: could not import module") as caught:
            ref_to_obj("nowhere:f")
        assert isinstance(caught.value.__cause__, ImportError)

    def test_a_missing_name_is_told(self) -> None:
        with pytest.raises(LookupError, match=r"tests\.jobs:gone: error looking up object"):
            ref_to_obj("tests.jobs:gone")

    def test_a_module_is_imported_when_its_first_reference_is_resolved(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        (tmp_path / "found_by_reference.py").write_text("def job(): return 'found'\n")
        monkeypatch.syspath_prepend(tmp_path)
        try:
            assert ref_to_obj("found_by_reference:job")() == "found"
        finally:
            sys.modules.pop("found_by_reference", None)

    def test_maybe_ref_leaves_alone_what_is_no_string(self) -> None:
        assert maybe_ref("tests.jobs:nothing") is jobs.nothing
        assert maybe_ref(jobs.nothing) is jobs.nothing


@pytest.fixture
def aliases(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    with monkeypatch.context() as patch:
        patch.setattr(_refs, "_function_aliases", {})
        yield


@pytest.mark.usefixtures("aliases")
class TestFunctionAliases:
    def test_an_old_place_leads_to_the_new_one(self) -> None:
        add_function_alias("old_module:run", "tests.jobs:nothing")
        assert ref_to_obj("old_module:run") is jobs.nothing

    def test_a_function_that_moved_twice_is_found(self) -> None:
        add_function_alias("first:run", "second:run")
        add_function_alias("second:run", "tests.jobs:nothing")
        assert ref_to_obj("first:run") is jobs.nothing

    def test_aliases_that_lead_in_a_circle_are_refused(self) -> None:
        add_function_alias("first:run", "second:run")
        with pytest.raises(ValueError, match='leads back to "second:run"'):
            add_function_alias("second:run", "first:run")
        with pytest.raises(ValueError, match='leads back to "same:run"'):
            add_function_alias("same:run", "same:run")

    def test_an_alias_of_another_form_is_refused(self) -> None:
        with pytest.raises(ValueError, match='expected the form "module:name"'):
            add_function_alias("old.module.run", "tests.jobs:nothing")


class AsyncCallable:
    async def __call__(self) -> None: ...


class TestCoroutineFunctions:
    @pytest.mark.parametrize(
        "func",
        [jobs.give_later, partial(jobs.give_later, 1), partial(partial(jobs.give_later), 1)],
    )
    def test_partials_of_one_are_seen_through(self, func: Any) -> None:
        assert iscoroutinefunction_partial(func)

    def test_so_are_objects_whose_call_is_one(self) -> None:
        assert iscoroutinefunction_partial(AsyncCallable())
        assert not iscoroutinefunction_partial(AsyncCallable)  # calling it makes an instance

    @pytest.mark.parametrize("func", [jobs.give, partial(jobs.give, 1), Greeter(), len])
    def test_others_are_not(self, func: Any) -> None:
        assert not iscoroutinefunction_partial(func)


class TestArguments:
    def check(self, func: Callable[..., Any], *args: Any, **kwargs: Any) -> None:
        check_callable_args(func, args, kwargs)

    def test_what_fits_passes(self) -> None:
        self.check(jobs.two, 1)
        self.check(jobs.two, 1, 2, third=3)
        self.check(jobs.two, first=1, second=2)
        self.check(jobs.nothing, 1, 2, 3, anything="goes")
        self.check(Greeter().greet, "hello")
        self.check(partial(jobs.two, 1))
        self.check(print, "no", "names", sep=" ")

    @pytest.mark.parametrize(
        ("args", "kwargs", "words"),
        [
            ([], {}, "The following arguments have not been supplied: first"),
            ([1, 2, 3], {}, r"longer than the target callable can handle \(allowed: 2, given in"),
            ([1], {"first": 1}, "supplied in both args and kwargs: first"),
            ([1], {"fourth": 1}, "does not accept the following keyword arguments: fourth"),
        ],
    )
    def test_what_does_not_fit_is_named(
        self, args: list[Any], kwargs: dict[str, Any], words: str
    ) -> None:
        with pytest.raises(ValueError, match=words):
            check_callable_args(jobs.two, args, kwargs)

    def test_a_positional_only_argument_cannot_be_given_by_its_name(self) -> None:
        def func(x: Any, /) -> None: ...

        with pytest.raises(ValueError, match="cannot be given as keyword arguments: x"):
            self.check(func, x=1)

    def test_a_positional_only_name_may_be_among_the_others(self) -> None:
        def func(x: Any, /, **others: Any) -> None: ...

        self.check(func, 1, x=2)

    def test_a_keyword_only_argument_may_be_missing(self) -> None:
        def func(*, x: Any) -> None: ...

        with pytest.raises(
            ValueError, match=r"keyword-only arguments have not been supplied.*: x"
        ):
            self.check(func)

    def test_a_callable_that_does_not_tell_its_parameters_is_not_checked(self) -> None:
        class Silent:
            __signature__ = "none"

            def __call__(self) -> None: ...

        self.check(Silent(), 1, 2, 3)
