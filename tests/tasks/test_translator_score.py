import pytest
import sacrebleu

from ostinato.extras import MissingExtraError
from ostinato.tasks.translator import score as translator_score
from ostinato.tasks.translator.score import score_lines

WRITTEN = ["Ein Mann geht nach Hause.", "Zwei Hunde laufen schnell über die Wiese."]
WANTED = ["Ein Mann geht heim.", "Zwei Hunde laufen über die grüne Wiese."]


def test_the_figures_are_those_of_sacrebleu_with_its_signature():
    score = score_lines(WRITTEN, WANTED)
    assert score.bleu == sacrebleu.corpus_bleu(WRITTEN, [WANTED]).score
    assert score.chrf == sacrebleu.corpus_chrf(WRITTEN, [WANTED]).score
    assert score.signature.startswith("nrefs:1|case:mixed|eff:no|tok:13a|smooth:exp|version:")
    assert score.length_ratio == pytest.approx(14 / 13)
    assert score.to_dict()["lines"] == 2


def test_case_counts():
    lower = score_lines([line.lower() for line in WRITTEN], WANTED)
    assert lower.bleu < score_lines(WRITTEN, WANTED).bleu


@pytest.mark.parametrize(("written", "wanted"), [(["a"], []), ([], []), (["a"], ["a", "b"])])
def test_lines_without_a_reference_are_refused(written, wanted):
    with pytest.raises(ValueError, match="needs a reference for each translation"):
        score_lines(written, wanted)


def test_without_sacrebleu_the_extra_is_named(monkeypatch):
    def missing(name, **options):
        raise MissingExtraError(f"{options['why']} need {name} [{options['extra']}]")

    monkeypatch.setattr(translator_score, "needed", missing)
    with pytest.raises(MissingExtraError, match=r"BLEU scores need .*\[translate\]"):
        score_lines(["a"], ["a"])
