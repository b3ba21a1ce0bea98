"""Training: what an interruption changes (nothing), what a folder of samples holds, and what the card says of the weights."""

import csv
import hashlib
import json
from dataclasses import replace
from types import SimpleNamespace

import nibabel
import numpy as np
import pytest
import torch
from conftest import Engine

from chiflow.core.contracts import read_json
from chiflow.core.errors import ChiflowError
from chiflow.core.weights import load_weights
from chiflow.invert.corrector import Corrected
from chiflow.simulate import realistic
from chiflow.train import calibration, session, stock
from chiflow.train.card import update_card, write_weights
from chiflow.train.heads import Data, chosen, keep_heads, kept_folder, kept_heads, read_data
from chiflow.train.inversion import Config, drawn_part, load_state, loss_of, new_state, save_state
from chiflow.train.session import trained
from chiflow.train.shards import restored, sample, shard, turned_at_random
from chiflow.train.stock import Stock

TINY = Config(steps=6, shards=2, first_shards=1, steps_per_shard=3, shard_size=2, checked_every=3, validation_samples=1, channels=(4, 4, 4), warm_up=2, bfloat16=False)
CPU = torch.device("cpu")
SMALL = (16, 20)  # voxels along the axes of a sample
NAMES = [f"training_seg_{n:02d}.nii.gz" for n in range(1, 11)]


@pytest.fixture(autouse=True)
def small(monkeypatch):
    """Samples of 16³ voxels, on one thread, and denormals as they were."""
    threads = torch.get_num_threads()
    monkeypatch.setattr(realistic, "PART", SMALL)
    torch.set_num_threads(1)
    yield
    torch.set_flush_denormal(False)
    torch.set_num_threads(threads)


def run(folder, config=TINY, data=Data([], [], {}, ["code"])):
    with kept_folder(folder):
        return trained(config, data, folder, folder, CPU, workers=0)


def content(state) -> dict:
    """All that a training has learned."""
    moments = {f"{n}.{name}": value for n, kept in state.optimiser.state_dict()["state"].items() for name, value in kept.items()}
    return dict(state.network.state_dict()) | {f"mean.{name}": value for name, value in state.mean.state_dict().items()} | moments


@pytest.fixture(scope="module")
def done(tmp_path_factory):
    """A training that nothing interrupted, and its folder."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(realistic, "PART", SMALL)
        folder = tmp_path_factory.mktemp("training")
        torch.set_num_threads(1)
        return run(folder), folder


@pytest.mark.parametrize("step", [1, 2, 4])
def test_an_interruption_changes_no_bit(done, tmp_path, monkeypatch, step):
    whole, folder = done
    monkeypatch.setattr(session, "SAVED_EVERY", 1 if step == 4 else 2)
    advance = session.advance

    def interrupted(state, *arguments):
        if state.step == step:
            raise KeyboardInterrupt
        return advance(state, *arguments)

    monkeypatch.setattr(session, "advance", interrupted)
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path)
    monkeypatch.setattr(session, "advance", advance)
    again = run(tmp_path)
    assert again.curve == whole.curve and again.step == whole.step == 6
    assert content(again).keys() == content(whole).keys()
    assert [name for name, value in content(again).items() if not torch.equal(value, content(whole)[name])] == []
    assert (tmp_path / "curve.csv").read_bytes() == (folder / "curve.csv").read_bytes()


def test_training_moves_every_weight_and_the_loss_is_finite(done):
    before = new_state(TINY, CPU).network.state_dict()
    after = done[0].network.state_dict()
    assert [name for name in before if torch.equal(before[name], after[name])] == []
    assert all(np.isfinite(row["loss"]) and row["guided_over_start"] > 0 for row in done[0].curve)


def test_the_curve_is_a_row_for_each_check_and_a_picture(done):
    rows = list(csv.DictReader((done[1] / "curve.csv").open(encoding="utf8")))
    assert [int(row["step"]) for row in rows] == [3, 6]
    assert [float(row["loss"]) for row in rows] == pytest.approx([row["loss"] for row in done[0].curve], rel=1e-5)
    assert (done[1] / "curve.png").read_bytes().startswith(b"\x89PNG")


def test_a_checkpoint_of_another_configuration_is_refused(tmp_path):
    save_state(new_state(TINY, CPU), TINY, tmp_path / "a.pt")
    load_state(replace(TINY, steps=9, checked_every=1), tmp_path / "a.pt", CPU)
    with pytest.raises(ChiflowError, match="another configuration .seed."):
        load_state(replace(TINY, seed=1), tmp_path / "a.pt", CPU)


def test_a_checkpoint_from_before_an_option_has_its_default(tmp_path):
    config = Config(channels=(4, 4, 4))
    save_state(new_state(config, CPU), config, tmp_path / "a.pt")
    kept = torch.load(tmp_path / "a.pt", weights_only=True)
    del kept["config"]["shard_size"], kept["losses"], kept["seconds"]
    torch.save(kept, tmp_path / "a.pt")
    assert load_state(config, tmp_path / "a.pt", CPU).losses == []
    with pytest.raises(ChiflowError, match="shard_size"):
        load_state(replace(config, shard_size=2), tmp_path / "a.pt", CPU)


def same(ours: dict, theirs: dict) -> bool:
    return ours.keys() == theirs.keys() and all(torch.equal(v, theirs[k]) if torch.is_tensor(v) else v == theirs[k] for k, v in ours.items())


def test_a_sample_is_that_of_its_number_in_whatever_shard_it_lies(tmp_path):
    first, second = (torch.load(shard(tmp_path, 3, number, [], size), weights_only=True) for number, size in ((1, 2), (0, 3)))
    assert same(first[0], second[2]) and same(first[0], sample(3, 2, [])) and not same(first[0], first[1])


def small_draw(*arguments):
    """A worker of its own process, which has not seen the monkeypatch of this one."""
    realistic.PART = SMALL
    draw(*arguments)


draw = stock.draw


def test_a_worker_draws_what_is_drawn_alone(tmp_path, monkeypatch):
    monkeypatch.setattr(stock, "draw", small_draw)
    keep_heads(tmp_path / "heads.npz", [])
    with Stock(tmp_path, 0, 1, 1, []) as shards:
        (drawn,) = shards.opened(0)
        assert same(drawn, sample(0, 0, []))
    assert not any(worker.is_alive() for worker in shards.workers)


def test_a_worker_that_failed_is_told(tmp_path):
    shards = Stock(tmp_path, 0, 1, 1, [], workers=0)
    shards.workers = [SimpleNamespace(exitcode=1, is_alive=lambda: False)]
    with pytest.raises(ChiflowError, match="shard_0_0000.pt: the process that draws samples ended"):
        shards.opened(0)


def kept_shards(folder) -> dict[int, list[dict]]:
    """The samples of a training by the number of their shard."""
    return {int(path.stem[-4:]): torch.load(path, weights_only=True) for path in sorted((folder / "shards").glob("*.pt"))}


def test_a_step_takes_a_part_that_holds_tissue(done):
    contents = next(iter(kept_shards(done[1]).values()))
    rng = np.random.default_rng(0)
    for content in contents:
        part = drawn_part(content, (8, 12, 8), rng)
        start, truth, nuclei = restored(content, part=part)
        assert truth.shape == nuclei.shape == start.mask.shape and all(n <= p for n, p in zip(truth.shape, (8, 12, 8))) and start.mask.any()
        assert torch.equal(start.mask, restored(content)[0].mask[part])


def test_the_loss_is_that_of_the_formula():
    content = sample(0, 0, [])
    start, truth, nuclei = restored(content)
    generator = torch.Generator().manual_seed(0)
    nuclei = (torch.rand(truth.shape, generator=generator) < 0.2).float()
    chi, u, inside = 1.3 * start.volume("chi"), start.mask * 0.2, start.mask > 0
    found = float(loss_of(Corrected(chi, u), start, truth, nuclei, start.mask))
    errors = []
    for x in (chi, start.volume("chi")):
        e = torch.zeros_like(x)
        e[inside] = (x - truth)[inside] - (x - truth)[inside].mean()
        errors.append(e.numpy().astype(float))
    norm, weighted = (lambda e: np.sqrt((e**2).sum())), (lambda e: np.abs((1 + 2 * nuclei.numpy()) * e).sum())
    rough = lambda e: np.sqrt(sum((np.diff(e, axis=a) ** 2).sum() for a in range(3)))
    gain = sum(factor * np.log(size(errors[0]) / size(errors[1])) for factor, size in ((1, norm), (0.5, weighted), (0.5, rough)))
    over = (np.abs(errors[0]) - 0.2)[inside.numpy()]
    assert found == pytest.approx(gain + np.maximum(0.9 * over, -0.1 * over).mean() / np.abs(errors[0])[inside.numpy()].mean(), rel=1e-4)


def test_a_turn_of_a_sample_is_exact():
    """The start of the turned field is the turned start, so its error against the turned truth is the same."""
    start, truth, nuclei = restored(sample(0, 1, []))
    other, moved, _ = turned_at_random(start, truth, nuclei, np.random.default_rng(3))
    one, two = ((s.volume("chi") - t).norm() for s, t in ((start, truth), (other, moved)))
    assert float(one) == pytest.approx(float(two), rel=1e-5) and not torch.equal(other.volumes.flatten(), start.volumes.flatten())


@pytest.mark.parametrize("held_out, expected", [("", [9, 10]), ("02 05", [2, 5]), ("0", [10]), ("seg_0[12]", [1, 2]), ("training_seg_03.nii.gz,10", [3, 10])])
def test_label_maps_are_held_out_by_the_end_of_their_name(held_out, expected):
    assert chosen(NAMES, held_out) == [NAMES[n - 1] for n in expected]


@pytest.mark.parametrize("held_out, said", [("11", "no label map fits 11"), ("*", "none is left")])
def test_a_choice_that_cannot_be_is_told(held_out, said):
    with pytest.raises(ChiflowError, match=said):
        chosen(NAMES, held_out)


@pytest.fixture
def labels(tmp_path):
    """Three label maps: a brain of white matter, cortex and putamen."""
    folder = tmp_path / "labels"
    folder.mkdir()
    for number in (1, 2, 3):
        volume = np.zeros((24, 22, 20), np.int16)
        volume[4:20, 4:18, 4:16] = 3
        volume[7:17, 7:15, 7:13] = 2
        volume[8:10, 8:12, 8 : 8 + number] = 12
        nibabel.save(nibabel.Nifti1Image(volume, np.eye(4)), folder / f"head_{number}.nii.gz")
    return folder


def test_label_maps_are_kept_and_a_folder_belongs_to_one_choice_of_them(labels, tmp_path):
    with kept_folder(tmp_path / "kept") as folder:
        data = read_data(labels, "3", folder, 2)
        assert [h.name for h in data.trained] == ["head_1.nii.gz", "head_2.nii.gz"] and [h.name for h in data.held_out] == ["head_3.nii.gz"]
        assert data.sha256["head_1.nii.gz"] == hashlib.sha256((labels / "head_1.nii.gz").read_bytes()).hexdigest()
        kept = kept_heads(folder / "heads.npz")
        assert [h.name for h in kept] == sorted(data.sha256) and np.array_equal(kept[0].kinds, data.trained[0].kinds)
        assert read_data(labels, "3", folder, 2).sha256 == data.sha256
        for other in ({"held_out": "2"}, {"shard_size": 3}, {"labels": None, "held_out": ""}):
            with pytest.raises(ChiflowError, match="another choice of"):
                read_data(**{"labels": labels, "held_out": "3", "folder": folder, "shard_size": 2} | other)


def test_a_folder_is_worked_in_by_one_training(tmp_path):
    with kept_folder(tmp_path), pytest.raises(ChiflowError, match="another training"):
        with kept_folder(tmp_path):
            pass
    with kept_folder(tmp_path):
        pass


@pytest.mark.parametrize("make", [lambda folder: None, lambda folder: folder.mkdir()])
def test_a_folder_without_label_maps_is_told(tmp_path, make):
    make(tmp_path / "labels")
    with pytest.raises(ChiflowError, match="no label maps"):
        read_data(tmp_path / "labels", "", tmp_path, 2)


def test_the_card_is_that_of_the_weights(done, tmp_path):
    state, folder = done
    data = Data([], [], {"head.nii": "0123"}, ["code"])
    path = write_weights(state, TINY, data, folder, tmp_path)
    tensors, card = load_weights(path)
    assert card["Name"] == "inversion" and card["Architecture"]["Parameters"] == sum(value.numel() for value in tensors.values())
    mean = state.mean.state_dict()
    assert tensors.keys() == mean.keys() and all(torch.equal(value, mean[name].half().float()) for name, value in tensors.items())
    assert card["Training"]["Config"]["steps"] == card["Training"]["StepsDone"] == 6 and card["Training"]["Sha256OfLabels"] == data.sha256
    assert [row["Step"] for row in card["ValidationCurve"]] == [3, 6]
    assert all(low <= high for low, high in card["Ranges"].values()) and "ResidualShare" in card["Ranges"]


def test_ranges_are_those_of_the_samples(done, tmp_path):
    state, folder = done
    card = read_json(write_weights(state, TINY, Data([], [], {}, []), folder, tmp_path).with_suffix(".json"))
    kept = kept_shards(folder)
    contents = [content for shard in kept.values() for content in shard]
    sizes = [content["geometry"][1] for content in contents]
    expected = {"SmallestVoxelMm": [min(map(min, sizes)), max(map(min, sizes))], "LargestVoxelMm": [min(map(max, sizes)), max(map(max, sizes))],
                "MisfitShare": np.percentile([content["misfit_share"] for content in contents], [1, 99]),
                "FieldRmsPpm": np.percentile([content["rms_ppm"] for content in contents], [1, 99]) * (0.2, 5)}
    for name, value in expected.items():
        assert card["Ranges"][name] == pytest.approx(list(value), rel=1e-3), name


def test_entries_are_put_into_a_card(tmp_path):
    (tmp_path / "a.json").write_text(json.dumps({"Name": "a", "Scores": 1}), encoding="utf8")
    update_card(tmp_path / "a.json", Scores={"case": 2}, Calibration=1.5)
    assert read_json(tmp_path / "a.json") == {"Name": "a", "Scores": {"case": 2}, "Calibration": 1.5}
    assert [path.name for path in tmp_path.iterdir()] == ["a.json"]


TINY_TASK = "process { withName: TRAIN { cpus = 1\n memory = 2.GB\n ext.args = '--steps %d --shards 1 --shard-size 1 --validation-samples 1' } }\n"


def test_the_engine_trains_and_goes_on_where_it_was(project, tmp_path):
    engine = Engine(project, tmp_path / "launch")
    for steps, rows in ((1, ["1"]), (2, ["1", "2"])):
        (engine.launch / "tiny.config").write_text(TINY_TASK % steps, encoding="utf8")
        done = engine.run("-c", "tiny.config", "--train", "--train_cache", tmp_path / "kept ü", "-resume", out=tmp_path / "out")
        assert done.status == 0 and done.tasks("COMPLETED") == {("TRAIN", "inversion")}, done.said
        assert [row["step"] for row in csv.DictReader((done.out / "weights" / "curve.csv").open(encoding="utf8"))] == rows
    assert load_weights(done.out / "weights" / "inversion.safetensors")[1]["Training"]["StepsDone"] == 2
    assert {path.name for path in (done.out / "weights").iterdir()} == {"inversion.safetensors", "inversion.json", "curve.csv", "curve.png"}


def test_what_a_training_cannot_use_is_told_before_any_task(project, tmp_path):
    engine = Engine(project, tmp_path / "launch")
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty" / "readme.txt").write_text("x")
    for options, said in ((("--input", tmp_path), "error: --input: --train takes none"), (("--labels", tmp_path / "empty"), "error: --labels: no label maps")):
        done = engine.run("--train", *options, out=tmp_path / "out")
        assert done.status == 1 and said in done.said and "Submitted process" not in done.said


def test_the_interval_is_widened_until_it_holds_nine_tenths(monkeypatch):
    mask, generator = torch.ones(40, 40, 40), torch.Generator().manual_seed(0)
    field = SimpleNamespace(mask=mask), torch.zeros_like(mask), None
    monkeypatch.setattr(calibration, "restored", lambda content, device: field)
    monkeypatch.setattr(calibration, "ensemble", lambda network, start: (3.0 * torch.randn(mask.shape, generator=generator), mask))
    found = calibration.calibrated(new_state(TINY, CPU).network, range(2))
    assert found["Calibration"] == pytest.approx(4.93, rel=0.05)  # 90 % of a normal distribution, 5000 voxels
    assert found["Coverage"]["Samples"] == 2 and found["Coverage"]["Mean"] == pytest.approx(0.9, abs=0.01)
