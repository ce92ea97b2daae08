import pytest

from ostinato.data.tokenizers import TokenizerError
from ostinato.tasks.translator.settings import PairSettings
from ostinato.tasks.translator.tokens import Vocabularies, pieces_of, spelled

PAIRS = [("A man, unknown.", "Ein Mann, unbekannt."), ("two men", "zwei Männer")] * 3


def made(tokens, **settings):
    return Vocabularies.fit(lambda: PAIRS, PairSettings(tokens=tokens, **settings))


@pytest.mark.parametrize("joint", [True, False])
@pytest.mark.parametrize("tokens", ["subwords", "words", "characters"])
def test_targets_come_back_and_both_sides_have_their_end(tokens, joint):
    size = {"vocabulary_size": 300} if tokens == "subwords" else {}
    both = made(tokens, joint=joint, **size)
    for source, target in PAIRS:
        written = both.encode_target(target)
        assert written[-1] == both.end
        assert both.decode(written[:-1]) == target
        assert both.encode_source(source)[-1] == both.source.end
    again = Vocabularies.from_texts(both.texts())
    assert (again.source, again.target, again.joint) == (both.source, both.target, joint)


def test_one_vocabulary_knows_the_words_of_both_sides_and_two_do_not():
    joint, apart = made("words"), made("words", joint=False)
    assert set(joint.source.words) >= {"man", "Mann"}
    assert "man" in apart.source.words
    assert "man" not in apart.target.words


def test_settings_act():
    assert made("words", vocabulary_size=6).source.size == 6
    assert (
        made("words", lower=True).decode(made("words", lower=True).encode_target("Ein")[:-1])
        == "ein"
    )
    assert (
        made("words", min_count=4).source.words[2:] == [","]
        or made("words", min_count=4).source.size < made("words").source.size
    )
    assert "unknown." in made("words", split="blanks").source.words
    assert made("subwords").source.size < 6000
    with pytest.raises(TokenizerError, match="at least 258"):
        made("subwords", vocabulary_size=100)


def test_unknown_words_are_replaced_in_their_order():
    both = made("words", vocabulary_size=4, joint=False)
    tokens = both.encode_target("Ein Ochse, eine Kuh")[:-1]
    unknown = int((tokens == both.target.unknown).sum())
    said = both.decode(tokens, [f"w{k}" for k in range(unknown)])
    assert unknown >= 3
    assert "<unk>" not in said
    assert said.index("w0") < said.index("w1") < said.index("w2")
    # blanks stand where the text's own rule puts them
    assert said.replace(" ,", ",") == said


@pytest.mark.parametrize("tokens", ["subwords", "words", "characters"])
def test_pieces_stand_beside_the_tokens(tokens):
    size = {"vocabulary_size": 300} if tokens == "subwords" else {}
    both = made(tokens, **size)
    line = "two men, unseen" if tokens == "words" else "two men"
    pieces = pieces_of(both.source, line)
    assert len(pieces) == len(both.encode_source(line)) - 1
    assert "".join(pieces).replace(" ", "") == line.replace(" ", "")
    if tokens == "words":
        assert spelled(both.source, both.source.encode(line))[-1] == "<unk>"
