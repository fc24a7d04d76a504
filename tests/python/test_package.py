#!/usr/bin/env python3
"""The Python client works as it is installed: from the wheel, against the real server.

`make test` runs this against target/debug/ddpm-server with its embedded models.
"""

import asyncio
import base64
import hashlib
import io
import os
import socket
import subprocess
import sys
import tempfile
import threading
import time
import unittest
from pathlib import Path
from unittest import mock

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / ".peers"), str(ROOT / "tools")]

import checkout  # noqa: E402
import python_package  # noqa: E402
from serving import Server, end_on_signals  # noqa: E402

from runner import main  # noqa: E402


def install():
    """Builds the package and installs its wheel into a folder that lasts as long as this process."""
    folder = tempfile.TemporaryDirectory(prefix="ddpm-wheel-")
    _, wheel = python_package.build(folder.name)
    subprocess.run(
        [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index", "--no-compile",
         "--disable-pip-version-check", "--root-user-action", "ignore", "--target", f"{folder.name}/site", wheel],
        check=True,
    )
    sys.path.insert(0, f"{folder.name}/site")
    return folder


INSTALLED = install()

import numpy as np  # noqa: E402
from PIL import Image  # noqa: E402

import ddpm  # noqa: E402
import ddpm.samples  # noqa: E402
from ddpm import AsyncClient, Client, Finished, Interruption, Preview  # noqa: E402
from ddpm.retry import Backoff  # noqa: E402
from ddpm.run import Run  # noqa: E402
from ddpm.v1 import sampling_pb2 as v1  # noqa: E402


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def serve(folder, listen="127.0.0.1:0"):
    return Server(
        checkout.binary("ddpm-server", "debug"),
        "--listen", listen, "--ort-lib", str(checkout.onnxruntime()), "--device", "cpu",
        log=Path(folder) / "server.log",
    )


class WithServer(unittest.TestCase):
    """Starts one server for all tests of a class."""

    @classmethod
    def setUpClass(cls):
        folder = tempfile.TemporaryDirectory(prefix="ddpm-package-")
        cls.addClassCleanup(folder.cleanup)
        cls.server = serve(folder.name)
        cls.addClassCleanup(cls.server.stop)
        cls.client = Client(cls.server.address)
        cls.addClassCleanup(cls.client.close)


class Package(unittest.TestCase):
    def test_it_has_the_version_of_the_workspace_and_its_types(self):
        manifest = (ROOT / "Cargo.toml").read_text()
        self.assertIn(f'version = "{ddpm.__version__}"', manifest)
        folder = Path(ddpm.__file__).parent
        self.assertTrue((folder / "py.typed").is_file() and (folder / "v1/sampling_pb2.pyi").is_file())

    def test_it_was_installed_and_is_not_the_checkout(self):
        self.assertTrue(Path(ddpm.__file__).is_relative_to(INSTALLED.name))

    def test_every_name_it_promises_exists(self):
        self.assertEqual([name for name in ddpm.__all__ if not hasattr(ddpm, name)], [])


class Sampling(WithServer):
    def test_images_are_arrays_of_pixels(self):
        samples = self.client.sample("glyphs", 5, steps=4, seed=7)
        self.assertEqual((samples.values.shape, samples.values.dtype), ((5, 16, 16, 3), np.uint8))
        self.assertEqual(samples.indices.tolist(), [0, 1, 2, 3, 4])
        self.assertEqual((samples.seed, len(samples), samples.failed), (7, 5, []))
        self.assertEqual(samples.completed.samples, 5)
        self.assertTrue(np.array_equal(np.asarray(samples), samples.values))

    def test_points_and_images_of_floats_are_in_the_models_scale(self):
        points = self.client.sample("toy", 100, steps=5, seed=7).values
        self.assertEqual((points.shape, points.dtype), ((100, 2), np.float32))
        floats = self.client.sample("glyphs", 2, steps=4, seed=7, dtype="float32").values
        self.assertEqual((floats.shape, floats.dtype), ((2, 3, 16, 16), np.float32))
        pixels = self.client.sample("glyphs", 2, steps=4, seed=7).values
        scaled = np.clip(np.round(floats.transpose(0, 2, 3, 1) * 127.5 + 127.5), 0, 255)
        self.assertTrue(np.array_equal(scaled.astype(np.uint8), pixels))

    def test_a_sample_depends_on_its_seed_and_index_alone(self):
        eight = self.client.sample("glyphs", 8, steps=4, seed=3).values
        some = self.client.sample("glyphs", indices=[6, 2], steps=4, seed=3)
        self.assertEqual(some.indices.tolist(), [6, 2])
        self.assertTrue(np.array_equal(some.values, eight[[6, 2]]))
        other = self.client.sample("glyphs", 8, steps=4, seed=4).values
        self.assertFalse(np.array_equal(other, eight))

    def test_without_a_seed_the_receipt_says_which_one_it_was(self):
        first = self.client.sample("toy", 3, steps=2)
        again = self.client.sample("toy", 3, steps=2, seed=first.seed)
        self.assertTrue(np.array_equal(first.values, again.values))

    def test_classes_have_names(self):
        names = list(self.client.model("glyphs").class_names)
        by_name = self.client.sample("glyphs", 2, steps=4, seed=1, classes=[names[3], 5]).values
        by_label = self.client.sample("glyphs", 2, steps=4, seed=1, classes=[3, 5]).values
        self.assertTrue(np.array_equal(by_name, by_label))
        with self.assertRaisesRegex(ddpm.RequestError, f"no class 'ghost'.*{names[0]}"):
            self.client.sample("glyphs", classes=["ghost"])

    def test_samplers_grids_and_options_are_named(self):
        for sampler in ddpm.samplers():
            # It encodes pictures, and needs some.
            if sampler != "ddim_inverse":
                ran = self.client.compile("glyphs", sampler=sampler, steps=20).sampler.WhichOneof("kind")
                self.assertEqual(ran == sampler, sampler != "auto", (ran, sampler))
        compiled = self.client.compile("glyphs", sampler=("ddim", {"eta": 0.5}), grid="karras", clip="none", steps=4)
        self.assertEqual((compiled.sampler.ddim.eta, compiled.grid), (0.5, v1.GRID_KARRAS))
        self.assertEqual(compiled.clip, v1.CLIP_NONE)

    def test_guidance_initial_images_and_inpainting_do_what_they_say(self):
        image = self.client.sample("glyphs", 1, steps=10, seed=2).values[0]
        same = self.client.sample("glyphs", 1, steps=10, images=image, strength=0.0).values[0]
        self.assertTrue(np.array_equal(same, image))
        mask = np.zeros((16, 16), bool)
        mask[:, :8] = True
        filled = self.client.sample("glyphs", 3, steps=10, seed=9, inpaint=(image, mask)).values
        self.assertTrue(all(np.array_equal(one[:, :8], image[:, :8]) for one in filled))
        self.assertFalse(np.array_equal(filled[0], filled[1]))
        guided = self.client.sample("glyphs", 1, steps=10, seed=2, classes=[1], guidance=3.0)
        self.assertEqual((guided.receipt.guidance.scale, guided.completed.evals), (3.0, 20))

    def test_states_are_used_as_they_are(self):
        states = np.random.default_rng(1).standard_normal((2, 2)).astype(np.float32)
        first = self.client.sample("toy", 2, steps=5, sampler="ddim", states=states).values
        again = self.client.sample("toy", 2, steps=5, sampler="ddim", states=states, seed=99).values
        self.assertTrue(np.array_equal(first, again))

    def test_an_estimate_runs_nothing(self):
        before = self.client.server_info().load.evals
        estimate = self.client.estimate("glyphs", 10, steps=7)
        self.assertEqual((estimate.evals_per_sample, estimate.total_evals), (7, 70))
        self.assertEqual(self.client.server_info().load.evals, before)

    def test_models_are_listed(self):
        self.assertEqual([model.name for model in self.client.models()], ["glyphs", "toy"])


class Watching(WithServer):
    def test_previews_show_every_step_that_was_asked_for(self):
        events = list(self.client.stream("glyphs", 3, steps=6, seed=1, previews=2, show="both", every_preview=True))
        shown = [(one.kind, one.step, index) for one in events if isinstance(one, Preview) for index in one.indices.tolist()]
        wanted = [(kind, step, index) for step in (2, 4, 6) for kind in ("x_0", "x_t") for index in range(3)]
        self.assertEqual(sorted(shown), sorted(wanted))
        last = {index: value for one in events if isinstance(one, Preview) and (one.kind, one.step) == ("x_0", 6)
                for index, value in zip(one.indices.tolist(), one.values)}
        done = {index: value for one in events if isinstance(one, Finished)
                for index, value in zip(one.indices.tolist(), one.values)}
        self.assertEqual((type(events[0]), type(events[-1])), (ddpm.Accepted, ddpm.Completed))
        self.assertTrue(all(np.array_equal(last[index], done[index]) for index in range(3)))
        # Printed, an event is a line, however much it holds.
        self.assertTrue(all(len(repr(event)) < 300 and "\n" not in repr(event) for event in events[:-1]))
        self.assertRegex(repr(events[0]), r"^<Accepted: glyphs, seed 1, 18 evals, \d+ samples ahead")

    def wait_for_requests(self, count):
        """Wait until the server works on `count` requests: it learns a little later that a stream was closed."""
        end = time.monotonic() + 10
        while self.client.server_info().load.requests != count and time.monotonic() < end:
            time.sleep(0.05)
        self.assertEqual(self.client.server_info().load.requests, count)

    def test_a_stream_that_is_closed_frees_the_server(self):
        self.wait_for_requests(0)
        with self.client.stream("glyphs", 64, steps=1000) as stream:
            next(stream)
            self.assertEqual(self.client.server_info().load.requests, 1)
        self.wait_for_requests(0)
        self.assertEqual(list(stream), [])

    def test_a_stream_that_another_thread_closes_just_ends(self):
        stream = self.client.stream("glyphs", 64, steps=1000)
        next(stream)
        threading.Timer(0.3, stream.close).start()
        self.assertFalse(any(isinstance(event, (Interruption, ddpm.Completed)) for event in stream))

    def test_asyncio_gives_the_same_samples(self):
        async def draw():
            async with AsyncClient(self.server.address) as client:
                both = client.sample("glyphs", 4, steps=4, seed=5), client.sample("glyphs", 4, steps=4, seed=6)
                samples = await asyncio.gather(*both)
                events = [event async for event in await client.stream("toy", 2, steps=3, previews=1)]
                with self.assertRaises(ddpm.InvalidRequest):
                    await client.sample("glyphs", steps=10**6)
                return samples, events

        samples, events = asyncio.run(draw())
        for seed, drawn in zip((5, 6), samples):
            self.assertTrue(np.array_equal(drawn.values, self.client.sample("glyphs", 4, steps=4, seed=seed).values))
        self.assertIsInstance(events[-1], ddpm.Completed)


class Pictures(WithServer):
    def test_pillow_opens_what_a_notebook_shows(self):
        samples = self.client.sample("glyphs", 5, steps=4, seed=7)
        shown = Image.open(io.BytesIO(samples._repr_png_()))
        self.assertTrue(np.array_equal(np.asarray(shown), samples.picture()))
        # Three columns, two rows, five times as large.
        self.assertEqual(shown.size, (240, 160))
        self.assertTrue(np.array_equal(np.asarray(shown)[2::5, 2::5][:16, 16:32], samples[1]))

    def test_pil_gives_one_image_per_sample_and_one_of_all_points(self):
        samples = self.client.sample("glyphs", 2, steps=4)
        self.assertTrue(np.array_equal(np.asarray(samples.pil()[1]), samples[1]))
        (points,) = self.client.sample("toy", 500, steps=20).pil()
        self.assertEqual((points.size, np.asarray(points).min()), ((256, 256), 0))

    def test_the_density_of_points_is_where_they_are(self):
        shown = ddpm.samples.picture(np.array([[0.9, 0.9]], np.float32), extent=1.0)
        rows, columns = np.nonzero(shown[..., 0] == 0)
        # At the upper right.
        self.assertTrue(rows.max() < 32 and columns.min() > 256 - 32)

    def test_samples_say_in_a_line_what_they_are(self):
        samples = self.client.sample("toy", 3, steps=2, seed=4)
        self.assertEqual(repr(samples), "<Samples: 3 of toy, seed 4, values (3, 2) of float32>")


class Notebook(WithServer):
    def test_the_notebook_of_the_documentation_runs_and_shows_pictures(self):
        import nbclient
        import nbformat

        notebook = nbformat.read(ROOT / "docs/denoising.ipynb", 4)
        paths = os.pathsep.join([f"{INSTALLED.name}/site", str(ROOT / ".peers")])
        with tempfile.TemporaryDirectory(prefix="ddpm-notebook-") as folder:
            home = {"HOME": folder, "IPYTHONDIR": folder, "JUPYTER_RUNTIME_DIR": folder}
            runner = nbclient.NotebookClient(
                notebook, timeout=120, kernel_name="python3", resources={"metadata": {"path": folder}}
            )
            with mock.patch.dict(os.environ, {**home, "PYTHONPATH": paths, "DDPM_SERVER": self.server.address}):
                runner.execute()
        outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
        pictures = [output.data["image/png"] for output in outputs if "image/png" in output.get("data", {})]
        # The samples while they form, the samples, and the points.
        self.assertEqual(len(pictures), 3)
        for picture in pictures:
            Image.open(io.BytesIO(base64.b64decode(picture))).verify()


class Errors(WithServer):
    def test_a_wrong_field_is_named(self):
        with self.assertRaises(ddpm.InvalidRequest) as caught:
            self.client.sample("glyphs", steps=5000)
        self.assertEqual((caught.exception.field, caught.exception.reason), ("num_steps", "INVALID_REQUEST"))
        self.assertIsInstance(caught.exception, ValueError)
        self.assertIn("1000", str(caught.exception))

    def test_arguments_that_are_wrong_by_themselves_are_not_sent(self):
        wrong = {
            "sampler": {"sampler": "dimm"}, "option": {"sampler": ("ddim", {"etta": 1})}, "grid": {"grid": "karas"},
            "seed": {"seed": -1}, "dtype": {"dtype": "int8"}, "count": {"count": 1.5}, "strength": {"strength": 0.5},
            "indices": {"indices": [1, 1]}, "images": {"images": np.zeros((16, 16, 3), int)},
            "show": {"show": "x"}, "guidance": {"guidance_interval": (0, 1)},
        }
        for name, arguments in wrong.items():
            with self.subTest(name), self.assertRaisesRegex(ddpm.RequestError, name):
                self.client.stream("glyphs", **arguments)

    def test_an_unknown_model_says_what_to_try(self):
        with self.assertRaisesRegex(ddpm.ModelNotFound, r"client\.models\(\)"):
            self.client.sample("gliphs")

    def test_a_run_that_goes_on_asks_for_the_graph_that_it_began_in(self):
        run = Run(v1.GenerateRequest(model="toy", sample_count=2))
        self.assertEqual(run.next_request().graph, "")
        run.take(v1.GenerateEvent(accepted=v1.Accepted(receipt=v1.Receipt(seed=1, graph="int8"))))
        again = run.next_request()
        self.assertEqual((again.graph, again.expect.graph), ("int8", "int8"))

    def test_a_graph_that_is_not_served_says_what_to_try(self):
        with self.assertRaisesRegex(ddpm.DdpmError, "graph="):
            self.client.sample("toy", 1, graph="int8")

    def test_another_build_is_told_apart_and_can_be_accepted(self):
        base = v1.GenerateRequest(expect=v1.Expect(fingerprint="another"))
        with self.assertRaisesRegex(ddpm.OtherBuild, "accept_other_build=True"):
            self.client.sample("toy", 2, base=base)

    def test_time_that_does_not_suffice_is_an_error_with_what_is_missing(self):
        with self.assertRaises(ddpm.DeadlineError) as caught:
            self.client.sample("glyphs", 2000, steps=1000, timeout=0.5)
        self.assertIsInstance(caught.exception, TimeoutError)
        self.assertEqual(len(caught.exception.missing), 2000)

    def test_what_is_done_by_the_deadline_can_be_had(self):
        # The server ends it 2 % of that time before, which the end has to arrive in.
        samples = self.client.sample("glyphs", 20_000, steps=50, timeout=8.0, on_deadline="return_finished")
        self.assertEqual(len(samples) + samples.completed.unfinished, 20_000)
        self.assertGreater(samples.completed.unfinished, 0)

    def test_no_server_is_an_error_within_seconds_that_names_the_address(self):
        target, began = f"127.0.0.1:{free_port()}", time.monotonic()
        with self.assertRaisesRegex(ddpm.Unreachable, target):
            Client(target).sample("toy")
        self.assertLess(time.monotonic() - began, 15)


class Restarts(unittest.TestCase):
    def test_a_run_survives_a_server_that_is_killed_with_every_index_once_and_equal_bytes(self):
        listen = f"127.0.0.1:{free_port()}"
        with tempfile.TemporaryDirectory(prefix="ddpm-restart-") as folder:
            server = serve(folder, listen)
            restarted = []
            client = Client(listen)
            seen, interruptions = [], 0
            values = {}
            for event in client.stream("glyphs", 60, steps=50, seed=11):
                if isinstance(event, Finished):
                    seen += event.indices.tolist()
                    values.update(zip(event.indices.tolist(), event.values))
                    if not restarted:
                        server.kill()
                        restarted.append(threading.Thread(target=lambda: restarted.append(serve(folder, listen))))
                        restarted[0].start()
                interruptions += isinstance(event, Interruption)
            restarted[0].join()
            with restarted[1]:
                undisturbed = client.sample("glyphs", 60, steps=50, seed=11)
            client.close()
        self.assertGreaterEqual(interruptions, 1)
        self.assertEqual(sorted(seen), list(range(60)))
        self.assertTrue(all(np.array_equal(undisturbed[index], values[index]) for index in range(60)))

    def test_pauses_double_and_end_with_patience(self):
        backoff, now, pauses = Backoff(300.0, reached=True), 0.0, []
        backoff.begins(now)
        while (pause := backoff.pause(ddpm.Interrupted("reset"), now)) is not None:
            pauses.append(pause)
            now += pause
        self.assertAlmostEqual(sum(pauses), 300)
        for pause, middle in zip(pauses[:-1], [0.25, 0.5, 1, 2, 4, 8] + [15] * 100):
            self.assertLessEqual(abs(pause / middle - 1), 0.2501)
        self.assertIsNone(Backoff(300.0).pause(ddpm.RequestError("wrong"), 0.0))
        self.assertIsNone(Backoff(0.0, reached=True).pause(ddpm.Interrupted("reset"), 0.0))

    def test_a_servers_pause_is_a_lower_bound_and_a_sample_refills_patience(self):
        import grpc

        full = ddpm.Refused(grpc.StatusCode.RESOURCE_EXHAUSTED, "full", "QUEUE_FULL", (), 20.0)
        backoff = Backoff(60.0)
        self.assertTrue(20 <= backoff.pause(full, 0.0) <= 25)
        self.assertIsNone(backoff.pause(full, 55.0), "only 5 s are left")
        backoff.progressed()
        self.assertIsNotNone(backoff.pause(full, 100.0))


class Protocol(unittest.TestCase):
    """What a server must not do."""

    def run_of(self, *events):
        run = Run(v1.GenerateRequest(model="toy", sample_count=2))
        run.next_request()
        for sequence, event in enumerate(events):
            run.take(v1.GenerateEvent(sequence=sequence, **event))
        return run

    def test_violations_are_noticed(self):
        accepted = {"accepted": v1.Accepted(receipt=v1.Receipt(seed=1))}
        failed = {"sample_error": v1.SampleError(index=0)}
        packed = v1.Packed(indices=[0], format=v1.FORMAT_RAW_F32, shape=[2], data=b"12345678")
        for name, events in {
            "no accepted": [{"progress": v1.Progress()}],
            "accepted twice": [accepted, accepted],
            "an index twice": [accepted, failed, failed],
            "an index that was not asked for": [accepted, {"sample_error": v1.SampleError(index=7)}],
            "an end before the end": [accepted, {"completed": v1.Completed()}],
            "no digest": [accepted, {"samples": v1.Samples(packed=packed)}],
            "an unknown event": [accepted, {}],
        }.items():
            with self.subTest(name), self.assertRaises(ddpm.ProtocolError):
                self.run_of(*events)
        two = v1.Packed(indices=[0, 1], format=v1.FORMAT_RAW_F32, shape=[2], data=b"12345678" * 2)
        good = hashlib.sha256(b"12345678").digest()
        run = self.run_of(accepted)
        with self.assertRaises(ddpm.Damaged):
            run.take(v1.GenerateEvent(sequence=1, samples=v1.Samples(packed=two, sha256=[good, bytes(32)])))
        self.assertEqual(run.missing, [0, 1], "the first one did not arrive either")

    def test_what_is_missing_is_asked_for_with_what_was_promised(self):
        run = self.run_of(
            {"accepted": v1.Accepted(receipt=v1.Receipt(seed=9, model_digest="m", program_digest="p", fingerprint="f"))},
            {"sample_error": v1.SampleError(index=0, reason="NON_FINITE")},
        )
        request = run.next_request()
        self.assertEqual((request.seed, run.missing), (9, [1]))
        self.assertEqual([(one.first, one.count) for one in request.index_ranges.ranges], [(1, 1)])
        self.assertEqual(request.expect, v1.Expect(model_digest="m", program_digest="p", fingerprint="f"))


if __name__ == "__main__":
    end_on_signals()
    main()
