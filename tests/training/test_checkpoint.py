import pytest
import torch

from ostinato.training import RunError
from ostinato.training.checkpoint import read_checkpoint, write_checkpoint

NEST = {
    "numbers": [1, 2.5, float("inf"), True, None, 2**40, 0.1 + 0.2],
    3: {"tuple": (torch.arange(3), (torch.tensor(1.5), "x"))},
    "tensor": {"pairs": {}, "tuple": []},
    "bf16": torch.ones(2, dtype=torch.bfloat16),
}


def test_any_nest_comes_back_bit_for_bit(tmp_path):
    write_checkpoint(tmp_path, NEST)
    back = read_checkpoint(tmp_path)
    assert back["numbers"] == NEST["numbers"]
    assert [type(x) for x in back["numbers"]] == [type(x) for x in NEST["numbers"]]
    whole, (scalar, text) = back[3]["tuple"]
    assert torch.equal(whole, torch.arange(3))
    assert (scalar.item(), text) == (1.5, "x")
    assert back["tensor"] == NEST["tensor"]
    assert back["bf16"].dtype == torch.bfloat16
    assert sorted(p.name for p in tmp_path.iterdir()) == ["state.json", "tensors.safetensors"]


def test_what_cannot_be_kept_is_named(tmp_path):
    with pytest.raises(TypeError, match=r"A checkpoint keeps .*got set"):
        write_checkpoint(tmp_path, {"odd": {1, 2}})


@pytest.mark.parametrize("name", ["state.json", "tensors.safetensors"])
@pytest.mark.parametrize("damage", ["cut short", "missing", "changed"])
def test_damage_is_said(tmp_path, name, damage):
    write_checkpoint(tmp_path, NEST)
    path = tmp_path / name
    content = path.read_bytes()
    if damage == "missing":
        path.unlink()
    else:
        path.write_bytes(content[:-3] if damage == "cut short" else b"[1]" + content[3:])
    with pytest.raises(RunError, match=r"checkpoint|checksum"):
        read_checkpoint(tmp_path)
