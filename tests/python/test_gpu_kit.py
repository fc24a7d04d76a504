#!/usr/bin/env python3
"""The GPU kit: it is packed, unpacked and rehearsed here, without a GPU.

`make test` runs this with the programs in target/debug. The kit runs from a folder of its own,
with no variable set but where PyTorch is.
"""

import json
import os
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import time
import unittest
from pathlib import Path
from unittest import mock

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "tools"), *(str(ROOT / "tools" / name) for name in ("dist", "bench"))]

import fatbin  # noqa: E402
import gpu_kit  # noqa: E402  (it adds the folder of the next ones)

import calls  # noqa: E402
import check  # noqa: E402
import device  # noqa: E402
import limits  # noqa: E402
import pieces  # noqa: E402
import table  # noqa: E402
from checks import CheckError, compare, compare_half  # noqa: E402
from kit import PartError  # noqa: E402

from runner import main  # noqa: E402

# Parts of the kit, in their order.
PARTS = ["unpack", "device", "check", "evals", "bound", "latency", "bulk", "train", "pytorch"]


class InFolder(unittest.TestCase):
    """Has a folder for each test."""

    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix="ddpm-gpu-kit-")
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)


class FatBinaries(InFolder):
    def library(self, *parts):
        path = self.folder / "library.so"
        path.write_bytes(b"".join(parts))
        return path

    def test_code_of_other_architectures_becomes_zeros_where_it_was(self):
        parts = [b"before", fat((80, b"a" * 40), (90, b"b" * 24)), b"between", fat((75, b"c" * 16))]
        path = self.library(*parts)

        kept, zeroed = fatbin.keep_architectures(path, [90])

        self.assertEqual((kept, zeroed), (24, 56))
        whole = b"".join(parts)
        self.assertEqual(path.read_bytes(), whole.replace(b"a" * 40, bytes(40))
                         .replace(b"c" * 16, bytes(16)))

    def test_several_architectures_can_be_kept(self):
        path = self.library(fat((80, b"a" * 8), (90, b"b" * 8), (120, b"c" * 8)))
        self.assertEqual(fatbin.keep_architectures(path, [80, 90]), (16, 8))
        self.assertIn(b"a" * 8, path.read_bytes())

    def test_a_missing_architecture_is_refused_and_nothing_changes(self):
        path = self.library(fat((75, b"a" * 8), (80, b"b" * 8)))
        before = path.read_bytes()
        with self.assertRaisesRegex(fatbin.FatBinaryError, r"no code for 9\.0.* 7\.5, 8\.0"):
            fatbin.keep_architectures(path, [90])
        self.assertEqual(path.read_bytes(), before)

    def test_the_magic_number_alone_is_no_fat_binary(self):
        magic = struct.pack("<I", fatbin.MAGIC)
        parts = [magic, b"x" * 30, fat((90, b"a" * 8)), magic]
        path = self.library(*parts)
        self.assertEqual(fatbin.keep_architectures(path, [90]), (8, 0))
        self.assertEqual(path.read_bytes(), b"".join(parts))

    def test_an_unknown_layout_is_refused_and_nothing_changes(self):
        good, bad = fat((80, b"a" * 8), (90, b"b" * 8)), bytearray(fat((90, b"c" * 8)))
        # The entry says that its code is longer than the fat binary.
        struct.pack_into("<Q", bad, fatbin.HEADER.size + 8, 999)
        path = self.library(good, bad)
        with self.assertRaisesRegex(fatbin.FatBinaryError, "longer than its fat binary"):
            fatbin.keep_architectures(path, [90])
        self.assertEqual(path.read_bytes(), good + bad)


def fat(*entries):
    """Returns a fat binary of (architecture, code)."""
    body = b""
    for architecture, code in entries:
        header = bytearray(64)
        struct.pack_into("<HHIQ", header, 0, 2, 0x101, len(header), len(code))
        struct.pack_into("<I", header, fatbin.ARCHITECTURE_AT, architecture)
        body += bytes(header) + code
    return struct.pack("<IHHQ", fatbin.MAGIC, 1, 16, len(body)) + body


class Pieces(InFolder):
    LIMIT = 1000

    def setUp(self):
        super().setUp()
        self.source, self.out = self.folder / "source", self.folder / "out"
        (self.source / "bin").mkdir(parents=True)
        self.out.mkdir()
        self.noise = os.urandom(3500)
        (self.source / "bin/program").write_bytes(self.noise)
        (self.source / "bin/program").chmod(0o755)
        (self.source / "text").write_text("text\n")

    def pack(self):
        return pieces.pack(self.source, self.out, "some", self.LIMIT, preset=0)

    def test_a_folder_comes_back_from_pieces_that_are_small_enough(self):
        archive = self.pack()

        pieces.unpack(self.out, [archive], self.folder / "back")

        program = self.folder / "back/bin/program"
        self.assertEqual(program.read_bytes(), self.noise)
        self.assertTrue(os.access(program, os.X_OK))
        self.assertEqual((self.folder / "back/text").read_text(), "text\n")
        sizes = [path.stat().st_size for path in sorted(self.out.iterdir())]
        self.assertEqual(sizes, [piece["bytes"] for piece in archive["pieces"]])
        self.assertEqual(set(sizes[:-1]), {self.LIMIT})
        self.assertLessEqual(sizes[-1], self.LIMIT)
        self.assertEqual(archive["bytes"], 3505)
        self.assertEqual(archive["contents"], pieces.digest(self.folder / "back"))

    def test_the_same_files_make_the_same_pieces(self):
        first = self.pack()
        os.utime(self.source / "text", (1, 1))
        self.assertEqual(self.pack(), first)
        (self.source / "bin/program").chmod(0o644)
        self.assertNotEqual(self.pack()["contents"], first["contents"])

    def test_a_damaged_piece_is_named_and_nothing_is_unpacked(self):
        archive = self.pack()
        (self.folder / "back").mkdir()
        (self.folder / "back/old").write_text("as before")
        piece = self.out / archive["pieces"][2]["file"]
        piece.write_bytes(piece.read_bytes()[:-1] + b"?")
        damaged = r"some\.tar\.xz\.02 is damaged.*copy it again"
        with self.assertRaisesRegex(pieces.PieceError, damaged):
            pieces.unpack(self.out, [archive], self.folder / "back")
        self.assertEqual([path.name for path in (self.folder / "back").iterdir()], ["old"])
        self.assertEqual({path.name for path in self.folder.iterdir()}, {"source", "out", "back"})

    def test_a_missing_piece_is_named(self):
        archive = self.pack()
        (self.out / archive["pieces"][0]["file"]).unlink()
        with self.assertRaisesRegex(pieces.PieceError, r"some\.tar\.xz\.00 is missing"):
            pieces.unpack(self.out, [archive], self.folder / "back")

    def test_pieces_are_taken_over_only_if_all_are_whole(self):
        archive = self.pack()
        new = self.folder / "new"
        new.mkdir()
        last = self.out / archive["pieces"][-1]["file"]
        whole = last.read_bytes()
        last.write_bytes(whole[:-1])
        self.assertFalse(pieces.take_over(self.out, archive, new))
        self.assertEqual(list(new.iterdir()), [])
        last.write_bytes(whole)
        self.assertTrue(pieces.take_over(self.out, archive, new))
        pieces.unpack(new, [archive], self.folder / "back")


class Limits(unittest.TestCase):
    def test_a_block_that_waits_is_interrupted_and_its_process_ended(self):
        begin = time.monotonic()
        with self.assertRaisesRegex(limits.OutOfTime, "not done after"), limits.limit(0.2):
            subprocess.run(["sleep", "30"])
        self.assertLess(time.monotonic() - begin, 10)

    def test_a_block_that_is_done_is_left_alone(self):
        with limits.limit(0.1):
            pass
        time.sleep(0.2)


class Messages(unittest.TestCase):
    def test_fields_come_back(self):
        values = [(1, "glyphs".encode()), (3, 0), (5, 2**64 - 1), (20, b""), (24, 300)]
        message = b"".join(calls.field(number, value) for number, value in values)
        self.assertEqual(list(calls.fields(message)), values)
        self.assertEqual(calls.first(message, 24), 300)
        self.assertEqual(calls.first(message, 2, "none"), "none")

    def test_fields_of_other_kinds_are_stepped_over(self):
        double = bytes([9 << 3 | 1]) + struct.pack("<d", 0.5)
        single = bytes([10 << 3 | 5]) + struct.pack("<f", 0.5)
        self.assertEqual(calls.first(double + single + calls.field(11, 7), 11), 7)


class Comparisons(unittest.TestCase):
    def test_samples_that_differ_too_much_or_are_no_numbers_fail(self):
        want = [0.5, -0.5, 1.0]
        self.assertAlmostEqual(compare([0.5, -0.5, 1.005], want)[0], 0.005)
        self.assertEqual(compare_half(want, want)[0], 0.0)
        for check_samples in (compare, compare_half):
            for got in ([0.5, -0.5, 1.2], [0.5, float("nan"), 1.0], [0.5, -0.5]):
                with self.assertRaises(CheckError):
                    check_samples(got, want)

    def test_runs_share_calls_if_the_numbers_of_their_calls_overlap(self):
        def runs(*spans):
            return [{"first_tick": first, "last_tick": last} for first, last in spans]

        self.assertTrue(check.overlap(runs((5, 9), (1, 5))))
        self.assertFalse(check.overlap(runs((6, 9), (1, 5))))


class Devices(InFolder):
    """A driver that answers as the one of a GPU would."""

    def setUp(self):
        super().setUp()
        path = {"PATH": f"{self.folder}:{os.environ['PATH']}"}
        self.enterContext(mock.patch.dict(os.environ, path))

    def answer(self, script):
        driver = self.folder / "nvidia-smi"
        driver.write_text(f"#!/bin/sh\n{script}\n")
        driver.chmod(0o755)

    def test_what_the_driver_says_gets_names(self):
        self.answer("echo 'NVIDIA H200, 9.0, 580.159.04, 143771, 1980, 3201, 30, 75.2, 700, 0'")
        found = device.gpu()
        self.assertEqual(list(found), list(device.QUERIES.values()))
        self.assertEqual((found["name"], found["watts_limit"]), ("NVIDIA H200", "700"))

    def test_a_driver_that_fails_or_is_missing_is_a_reason(self):
        self.answer("echo 'no devices were found'; exit 6")
        with self.assertRaisesRegex(PartError, "exits with 6: no devices were found"):
            device.gpu()
        with mock.patch.dict(os.environ, {"PATH": str(self.folder / "nowhere")}):
            with self.assertRaisesRegex(PartError, "no nvidia-smi"):
                device.gpu()

    def test_a_gpu_that_the_kit_has_no_code_for_is_refused(self):
        kit = mock.Mock(architectures=[90])
        device.check_capability(kit, "9.0")
        with self.assertRaisesRegex(PartError, r"capability 8\.0.* code for 9\.0.*--arch 80"):
            device.check_capability(kit, "8.0")


class Tables(unittest.TestCase):
    def found(self):
        def served(graph, speed, calls):
            return {"graph": graph, "batch": 8, "evals_per_call": calls,
                    "evals_per_second_in_network": speed, "evals_per_second_served": speed / 2}

        def peer(subject, speed):
            return {"subject": subject, "batch": 8, "evals_per_second": speed}

        found = {
            "evals": {"rows": [served("portable", 400.0, 8.0), served("cuda", 9000.0, 4.0)]},
            "pytorch": {"rows": [peer("eager", 2000.0), peer("torch.compile", 6000.0)]},
        }
        return {
            "kit": {"commit": "abc", "onnxruntime": "1.31.1"}, "command": "./run", "small": False,
            "device": "cuda", "budget_seconds": 540.0, "started": "2026-12-01T00:00:00Z",
            "parts": [{"name": name, "outcome": "ok", "reason": "", "seconds": 1.0,
                       "found": found.get(name, {})} for name in PARTS],
        }

    def test_the_graph_for_cuda_is_divided_by_the_faster_of_pytorch(self):
        row = next(line for line in table.markdown(self.found()).splitlines()
                   if line.startswith("| 8 |"))
        cells = [cell.strip() for cell in row.strip("|").split("|")]
        # Calls that did not hold the whole batch are marked.
        self.assertEqual(cells, ["8", "400", "9,000 (calls of 4)", "200", "4,500 (calls of 4)",
                                 "2,000", "6,000", "1.50"])

    def test_a_long_reason_is_cut_and_stays_one_cell(self):
        found = self.found()
        found["parts"][2] |= {"outcome": "failed", "reason": "a | b\n" + 100 * "word "}
        row = next(line for line in table.markdown(found).splitlines() if "failed" in line)
        self.assertIn("a \\| b word", row)
        self.assertTrue(row.endswith("… |"))
        self.assertLess(len(row), 400)


class Rehearsal(unittest.TestCase):
    """Runs a kit on the CPU."""

    @classmethod
    def setUpClass(cls):
        folder = tempfile.TemporaryDirectory(prefix="ddpm-gpu-kit-")
        cls.addClassCleanup(folder.cleanup)
        cls.folder = Path(folder.name)
        gpu_kit.make(cls.folder / "made", "debug", [90], limit=4 << 20, preset=0)
        cls.kit = cls.folder / "kit"
        # As it is carried: its files alone, somewhere else.
        shutil.copytree(cls.folder / "made", cls.kit)
        cls.code, cls.output = cls.run_kit("all")
        cls.found = cls.read("all")
        cls.parts = {part["name"]: part for part in cls.found["parts"]}

    @classmethod
    def start(cls, name, *flags):
        """Starts a rehearsal whose findings have this name."""
        return subprocess.Popen(
            [sys.executable, cls.kit / "run", "--device", "cpu", "--small", "--out",
             cls.folder / name, *flags],
            cwd="/", env={"PYTHONPATH": str(ROOT / ".peers"), "PYTHONDONTWRITEBYTECODE": "1"},
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        )

    @classmethod
    def run_kit(cls, name, *flags):
        """Runs a rehearsal; returns its exit code and what it printed."""
        process = cls.start(name, *flags)
        output, _ = process.communicate()
        return process.returncode, output

    @classmethod
    def read(cls, name):
        return json.loads((cls.folder / name / "results.json").read_text())

    def outcomes(self, found):
        return {part["name"]: part["outcome"] for part in found["parts"]}

    def test_every_part_runs_from_a_bare_folder_and_environment(self):
        self.assertEqual(self.outcomes(self.found), dict.fromkeys(PARTS, "ok"), self.output)
        self.assertEqual(self.code, 0, self.output)

    def test_what_needs_a_gpu_is_said_to_be_not_run(self):
        for name in ("check", "evals", "bound", "latency", "bulk"):
            self.assertEqual(self.parts[name]["found"]["not_run"], {"the graph cuda": "no GPU"})
        for name in ("train", "pytorch"):
            self.assertEqual(self.parts[name]["found"]["not_run"], {"torch.compile": "no GPU"})

    def test_the_checks_cover_every_sampler_that_the_server_offers(self):
        found = self.parts["check"]["found"]
        offered = next(check["remark"] for check in found["checks"]
                       if check["name"] == "glyphs: samplers of portable")
        self.assertEqual(offered, f"the server offers {len(found['samplers'])}")
        self.assertGreaterEqual(len(found["samplers"]), 20)
        # The server under test and the one to compare with are the same here.
        self.assertEqual({row["portable"] for row in found["samplers"].values()}, {0.0})

    def test_requests_that_share_calls_have_the_bits_that_they_have_alone(self):
        together = [check["remark"] for check in self.parts["check"]["found"]["checks"]
                    if check["name"].endswith("together as alone")]
        self.assertEqual(len(together), 2)
        for remark in together:
            self.assertIn("6 of 6 requests have equal bits (promised)", remark)

    def test_the_figures_are_there(self):
        def rows(part, unit):
            return [(row.get("graph", row.get("subject")), row.get("batch"), row[unit] > 0)
                    for row in self.parts[part]["found"]["rows"]]

        self.assertEqual(rows("evals", "evals_per_second_in_network"),
                         [("portable", 1, True), ("portable", 2, True)])
        self.assertEqual(rows("bound", "evals_per_second_in_network"),
                         [("portable", 1, True), ("portable", 2, True)])
        self.assertEqual(self.parts["bound"]["found"]["differences"], {"portable": 0.0})
        self.assertEqual(rows("latency", "median_ms"), [("portable", None, True)])
        self.assertEqual(rows("bulk", "samples_per_second"), [("portable", None, True)])
        self.assertEqual(rows("train", "images_per_second"),
                         [("eager", 4, True), ("ddpm-exporter", 4, True)])
        self.assertEqual(rows("pytorch", "evals_per_second"),
                         [("eager", 1, True), ("eager", 2, True)])

    def test_the_conditions_are_there(self):
        found = self.parts["device"]["found"]
        self.assertEqual(set(found["programs"]), {"ddpm-server", "ddpm", "ddpm-exporter"})
        self.assertIn("torch", found["versions"])
        self.assertEqual(self.found["kit"]["architectures"], [90] if gpu_kit.cuda_library() else [])
        self.assertTrue(self.found["small"])

    def test_the_table_has_every_section_and_calls_itself_a_rehearsal(self):
        text = (self.folder / "all/table.md").read_text()
        self.assertEqual(text, table.markdown(self.found))
        self.assertIn("a rehearsal", text.splitlines()[0])
        titles = [line for line in text.splitlines() if line.startswith("## ")]
        self.assertEqual(len(titles), 8, titles)

    def test_a_part_that_fails_is_named_and_the_others_go_on(self):
        exporter = self.kit / "work/unpacked/bin/ddpm-exporter"
        whole = exporter.read_bytes()
        self.addCleanup(exporter.write_bytes, whole)
        exporter.write_text("#!/bin/sh\necho out of order >&2\nexit 7\n")

        code, output = self.run_kit("broken", "--only", "device,latency,train,bulk")

        found = self.read("broken")
        parts = {part["name"]: part for part in found["parts"]}
        self.assertEqual(code, 6, output)
        for name in ("device", "train"):
            self.assertEqual(parts[name]["outcome"], "failed", output)
            self.assertIn("out of order", parts[name]["reason"])
        for name in ("latency", "bulk"):
            self.assertEqual(parts[name]["outcome"], "ok", output)
        self.assertEqual((parts["check"]["outcome"], parts["check"]["reason"]),
                         ("not run", "not asked for"))
        # What still works was measured all the same.
        self.assertEqual([row["subject"] for row in parts["train"]["found"]["rows"]], ["eager"])

    def test_without_time_the_parts_are_listed_as_not_run(self):
        code, output = self.run_kit("late", "--seconds", "1")
        found = self.read("late")
        self.assertEqual(code, 6, output)
        self.assertEqual(self.outcomes(found), dict.fromkeys(PARTS, "not run"))
        self.assertIn("used up", found["parts"][0]["reason"])

    def test_a_run_that_is_ended_keeps_what_it_found(self):
        process = self.start("ended", "--only", "device,check")
        self.addCleanup(process.stdout.close)
        end = time.monotonic() + 30
        while time.monotonic() < end and not self.is_checking("ended"):
            time.sleep(0.05)
        process.send_signal(signal.SIGTERM)
        self.assertEqual(process.wait(60), 128 + signal.SIGTERM)
        parts = {part["name"]: part for part in self.read("ended")["parts"]}
        self.assertEqual(parts["device"]["outcome"], "ok")
        self.assertEqual((parts["check"]["outcome"], parts["check"]["reason"]),
                         ("failed", "the run was ended from outside"))

    def is_checking(self, name):
        try:
            return self.outcomes(self.read(name))["check"] == "running"
        except FileNotFoundError:
            return False

    def test_a_damaged_piece_stops_everything_that_needs_it(self):
        kit = self.folder / "damaged"
        shutil.copytree(self.folder / "made", kit)
        with (kit / "programs.tar.xz.00").open("r+b") as piece:
            piece.write(b"?")
        process = subprocess.run(
            [sys.executable, kit / "run", "--device", "cpu", "--small"], cwd="/", env={},
            capture_output=True, text=True,
        )
        found = json.loads((kit / "results/results.json").read_text())
        self.assertEqual(process.returncode, 6, process.stderr)
        self.assertIn("programs.tar.xz.00 is damaged", found["parts"][0]["reason"])
        self.assertEqual({part["reason"] for part in found["parts"][1:]}, {"unpack failed"})
        self.assertFalse((kit / "work/unpacked").exists())

    def test_a_kit_that_is_made_again_keeps_its_pieces_and_findings(self):
        made = self.folder / "made"
        def files():
            return {path.name: path.stat().st_ino for path in made.glob("*.tar.xz.*")}

        before = files()
        (made / "results").mkdir()
        gpu_kit.make(made, "debug", [90], limit=4 << 20, preset=0)
        self.assertEqual(files(), before)
        known = json.loads((made / "kit.json").read_text())["archives"][0]
        self.assertTrue(gpu_kit.is_cut(known, 4 << 20))
        self.assertFalse(gpu_kit.is_cut(known, 5 << 20))
        self.assertTrue((made / "results").is_dir())


if __name__ == "__main__":
    main()
