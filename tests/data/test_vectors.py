import numpy as np
import pytest

from ostinato.data.vectors import VectorError, WordVectors, matrix_for, read_vectors

VECTORS = WordVectors(
    ["the", "cat", "naïve", "7"],
    np.float32([[1, 0, 0.25], [-0.5, 2, 1e-7], [0, 0, 0], [3, 3, 3]]),
)


@pytest.fixture(params=["glove.txt", "word2vec.txt", "word2vec.bin", "tight.bin"])
def file(request, tmp_path):
    path = tmp_path / request.param
    if request.param == "tight.bin":
        # as some tools write it: without a line end behind each entry
        entries = (
            word.encode() + b" " + row.astype("<f4").tobytes()
            for word, row in zip(VECTORS.words, VECTORS.matrix, strict=True)
        )
        path.write_bytes(b"4 3\n" + b"".join(entries))
        return path
    VECTORS.save(path)
    if request.param == "glove.txt":
        path.write_bytes(path.read_bytes().partition(b"\n")[2])
    return path


def test_each_format_is_read_as_it_was_written(file):
    again = read_vectors(file)
    assert again.words == VECTORS.words
    np.testing.assert_allclose(again.matrix, VECTORS.matrix, rtol=1e-5)


def test_only_the_rows_asked_for_are_kept(file):
    again = read_vectors(file, only=["cat", "dog", "7"])
    assert again.words == ["cat", "7"]
    np.testing.assert_allclose(again.matrix, VECTORS.matrix[[1, 3]], rtol=1e-5)
    assert read_vectors(file, only=[]).matrix.shape == (0, 3)


def test_gensim_reads_what_we_write_and_we_what_it_writes(tmp_path):
    models = pytest.importorskip("gensim.models")
    for name, binary in (("a.txt", False), ("a.bin", True)):
        VECTORS.save(tmp_path / name)
        theirs = models.KeyedVectors.load_word2vec_format(str(tmp_path / name), binary=binary)
        assert theirs.index_to_key == list(VECTORS.words)
        np.testing.assert_allclose(theirs.vectors, VECTORS.matrix, rtol=1e-5)
        theirs.save_word2vec_format(str(tmp_path / f"b{name}"), binary=binary)
        again = read_vectors(tmp_path / f"b{name}")
        assert again.words == VECTORS.words
        np.testing.assert_allclose(again.matrix, VECTORS.matrix, rtol=1e-5)


def test_the_first_of_a_word_that_comes_twice_counts(tmp_path):
    (tmp_path / "a").write_text("a 1 2\nb 3 4\na 5 6\n")
    assert read_vectors(tmp_path / "a")["a"].tolist() == [1, 2]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is empty"),
        (b"\x1f\x8bx", "gunzip"),
        (b"hello\nworld\n", "line 1 is neither a word with its numbers"),
        (b"a 1 2\nb 3\n", "line 2: 'b' has 1 numbers, others have 2"),
        (b"a 1 2\nb 3 x\n", "line 2: could not convert"),
        (b"a 1 2\n\xff 3 4\n", "line 2: the word is not UTF-8"),
        (b"a 1 2\nb\n", "line 2: a line is a word and its numbers, got b'b'"),
        (b"2 0\n", "vectors have 0 entries"),
        (b"2 3\nab " + bytes(12) + b"\ncd " + bytes(5), "word 2: the file ends in the middle"),
    ],
)
def test_a_broken_file_is_named_with_its_line(tmp_path, content, message):
    (tmp_path / "a.txt").write_bytes(content)
    with pytest.raises(VectorError, match=message):
        read_vectors(tmp_path / "a.txt")


def test_a_missing_file_and_words_that_cannot_be_written(tmp_path):
    with pytest.raises(FileNotFoundError, match="no file"):
        read_vectors(tmp_path / "nope")
    for word in ("two words", "", "line\nend"):
        with pytest.raises(VectorError, match="holds no blank"):
            WordVectors([word], np.ones((1, 2), np.float32)).save(tmp_path / "a")
    with pytest.raises(VectorError, match=r"need a matrix \[1, E\], got \[2, 2\]"):
        WordVectors(["a"], np.ones((2, 2), np.float32))


def test_nearest_by_the_angle_not_the_length():
    vectors = WordVectors(["a", "b", "c"], np.float32([[1, 0], [9, 1], [0.9, 0.9]]))
    assert [word for word, _ in vectors.nearest("a")] == ["b", "c"]
    assert vectors.nearest(np.array([0, 1]), 1)[0] == ("c", pytest.approx(0.5**0.5))
    assert "a" in vectors
    assert "z" not in vectors
    with pytest.raises(VectorError, match=r"no vector for 'x'\.$"):
        vectors.nearest("x")
    with pytest.raises(VectorError, match=r"no vector for 'cta'\. Did you mean cat"):
        VECTORS.nearest("cta")
    with pytest.raises(ValueError, match="count must be at least 1"):
        vectors.nearest("a", 0)


def test_a_vocabulary_gets_its_vectors_and_the_others_are_drawn_alike():
    matrix, found = matrix_for(VECTORS, ["Cat", "dog", "7"], seed=1)
    assert found.tolist() == [True, False, True]
    np.testing.assert_array_equal(matrix[[0, 2]], VECTORS.matrix[[1, 3]])
    assert matrix_for(VECTORS, ["Cat"], lower=False)[1].tolist() == [False]
    other, _ = matrix_for(VECTORS, ["Cat", "dog", "7"], seed=2)
    assert (other[1] != matrix[1]).all()
    many, _ = matrix_for(VECTORS, ["the", "7", *(f"new{n}" for n in range(3000))])
    known = VECTORS.matrix[[0, 3]]
    assert many[2:].std() == pytest.approx(known.std(), rel=0.05)
    assert many[2:].mean() == pytest.approx(known.mean(), rel=0.1)
