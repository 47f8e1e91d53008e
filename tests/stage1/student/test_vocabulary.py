from pathlib import Path

import pytest
from pydantic import ValidationError

import kidsnanny
from kidsnanny.errors import ComponentError, DataError
from kidsnanny.records import Box, Relation, SceneGraph, SceneObject
from kidsnanny.stage1.student.vocabulary import Tag, Vocabulary

PUBLIC = Path(kidsnanny.__file__).parent / "stage1" / "student" / "senben-partial.toml"
THING = SceneObject(label="dog", box=Box(0, 0, 1, 1), attributes=("wet",))


def test_the_public_words_and_no_others() -> None:
    words = Vocabulary.load(PUBLIC)
    assert words.partial
    assert [len(words.objects), len(words.attributes), len(words.predicates), len(words.tags)] == [2, 9, 3, 2]
    assert {tag.group for tag in words.tags.values()} == {"unknown"}


def test_words_of_a_data_set_come_by_frequency() -> None:
    graphs = [
        SceneGraph(objects=(THING,), tags={"play": 1.0}),
        SceneGraph(
            objects=(THING.model_copy(update={"label": "kite", "attributes": ("torn", "wet")}), THING),
            relations=(Relation(subject=1, predicate="chasing", object=0),),
            tags={"animals": 1.0, "play": 1.0},
        ),
    ]
    words = Vocabulary.derive("park", graphs, {"animals": Tag(group="park", means=("violence",))})
    assert (words.objects, words.attributes, words.predicates) == (("dog", "kite"), ("wet", "torn"), ("chasing",))
    assert list(words.tags.items()) == [
        ("play", Tag(group="unknown")),
        ("animals", Tag(group="park", means=("violence",))),
    ]
    assert not words.partial


def test_a_word_that_texts_cannot_hold_is_named_in_the_data() -> None:
    graph = SceneGraph(objects=(THING.model_copy(update={"label": "dog (small)"}),))
    with pytest.raises(DataError, match=r"^park: .*'dog \(small\)'.*rename it in the data\.$"):
        Vocabulary.derive("park", [graph])


def test_what_is_saved_is_loaded(tmp_path: Path) -> None:
    words = Vocabulary.load(PUBLIC)
    words.save(tmp_path / "words.toml")
    assert Vocabulary.load(tmp_path / "words.toml") == words


REFUSED = {
    "no name": ("objects = []", "name: it is missing"),
    "no TOML": ("objects = [", "cannot be read"),
    "unknown key": ('name = "x"\nobjects = []\nverbs = []', "verbs: there is no such key"),
    "twice": ('name = "x"\nobjects = ["dog", "dog"]', "objects repeats a word"),
    "twice in the findings text": ('name = "x"\nobjects = ["hot dog", "hot_dog"]', "objects repeats a word"),
    "empty": ('name = "x"\nobjects = [""]', "objects has ''"),
    "delimiter": ('name = "x"\nobjects = []\npredicates = ["a,b"]', "predicates has 'a,b'"),
    "spaces around": ('name = "x"\nobjects = []\nattributes = [" wet"]', "attributes has ' wet'"),
    "spaces inside": ('name = "x"\nobjects = ["a  b"]', "objects has 'a  b'"),
    "two lines": ('name = "x"\nobjects = ["a\\nb"]', r"objects has 'a\\nb'"),
    "unseen": ('name = "x"\nobjects = ["do\\u200bg"]', "no character that cannot be seen"),
    "tag": ('name = "x"\nobjects = []\n[tags]\n"a:b" = { group = "y" }', "tags has 'a:b'"),
    "meaning": ('name = "x"\nobjects = []\n[tags]\na = { group = "y", means = ["fun"] }', "tags.a.means.0"),
    "sensitive": (
        'name = "x"\nobjects = ["dog"]\n[sensitive]\ncat = ["gore"]',
        "sensitive names cat, which no list",
    ),
}


@pytest.mark.parametrize(("text", "says"), REFUSED.values(), ids=REFUSED)
def test_what_is_no_vocabulary(text: str, says: str, tmp_path: Path) -> None:
    (tmp_path / "words.toml").write_text(text)
    with pytest.raises(ComponentError, match=rf"words\.toml: .*{says}.*; correct the (file|vocabulary)\.$"):
        Vocabulary.load(tmp_path / "words.toml")


@pytest.mark.parametrize("mark", "<>():,")
def test_no_word_has_what_the_texts_are_built_of(mark: str) -> None:
    with pytest.raises(ValidationError, match="a word has"):
        Vocabulary(name="x", objects=(f"a{mark}b",))


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(ComponentError, match="cannot be read"):
        Vocabulary.load(tmp_path / "words.toml")
