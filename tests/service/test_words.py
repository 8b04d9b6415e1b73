"""Names of places are short, whole and never twice the same."""

from service.words import excerpt, place_names


def test_places_of_the_same_words_get_one_more_or_a_number() -> None:
    terms = [["list", "add", "item", "shopping"], ["add", "item", "list", "todo"], ["list", "item", "add"], ["pay"]]
    names = place_names([""] * 4, terms, [""] * 4)
    assert names == ["list, add, item, shopping", "add, item, list, todo", "list, item, add", "pay"]


def test_a_place_that_no_word_tells_is_called_otherwise() -> None:
    assert place_names(["", ""], [[], []], ["novel", "novel"]) == ["novel", "novel (2)"]


def test_a_label_gets_words_where_another_place_has_it() -> None:
    terms = [["Home", "list"], ["todo", "add", "item"], []]
    assert place_names(["home"] * 3, terms, [""] * 3) == ["home: Home, list", "home: todo, add", "home"]
    assert place_names(["home", "travel"], [["list"], ["visa"]], ["", ""]) == ["home", "travel"]


def test_texts_are_cut_after_a_whole_word() -> None:
    assert excerpt("american airlines flight ab123 to rome", 29) == "american airlines flight…"
    assert excerpt("american airlines flight", 17) == "american…"
    assert excerpt("american airlines flight", 18) == "american airlines…"
    assert excerpt("x" * 50, 40) == "x" * 39 + "…"
    assert excerpt("short", 40) == "short"
