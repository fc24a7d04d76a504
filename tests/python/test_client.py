#!/usr/bin/env python3
"""A client written from the .proto alone works with the real server.

`make test` runs this against target/debug/ddpm-server with its embedded models.
"""

import hashlib
import sys
import tempfile
import time
import unittest
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / ".peers"), str(ROOT / "tools"), str(ROOT / "tests/fixtures")]

import checkout  # noqa: E402
import grpc  # noqa: E402
import noise  # noqa: E402
from google.rpc import error_details_pb2, status_pb2  # noqa: E402
from grpc_health.v1 import health_pb2, health_pb2_grpc  # noqa: E402
from grpc_reflection.v1alpha import reflection_pb2  # noqa: E402
from serving import Server, end_on_signals  # noqa: E402

from client import Client, floats  # noqa: E402
from runner import main  # noqa: E402
from stubs import models, sampling  # noqa: E402

SERVICES = ("ddpm.v1.SamplingService", "ddpm.v1.ModelService", "ddpm.v1.ServerService")

DDIM = sampling.Sampler(ddim=sampling.Ddim())


class WithServer(unittest.TestCase):
    """Starts one server for all tests of a class."""

    @classmethod
    def setUpClass(cls):
        folder = tempfile.TemporaryDirectory(prefix="ddpm-python-")
        cls.addClassCleanup(folder.cleanup)
        server = Server(
            checkout.binary("ddpm-server", "debug"),
            "--listen", "127.0.0.1:0",
            "--ort-lib", str(checkout.onnxruntime()),
            "--device", "cpu",
            log=Path(folder.name) / "server.log",
        )
        cls.addClassCleanup(server.stop)
        cls.client = Client(server.address)
        cls.addClassCleanup(cls.client.close)


class Sampling(WithServer):
    def test_pictures_arrive_whole_with_their_digests(self):
        run = self.client.generate(
            model="glyphs", sample_count=5, seed=7, class_labels=[0, 1, 2],
            sampler=DDIM, num_steps=4, format=sampling.FORMAT_RAW_U8,
        )

        shape = self.model("glyphs").shape
        size = shape[0] * shape[1] * shape[2]
        self.assertEqual(sorted(run.samples), [0, 1, 2, 3, 4])
        for index, data in run.samples.items():
            self.assertEqual(len(data), size)
            self.assertEqual(hashlib.sha256(data).digest(), run.sha256[index])

    def test_points_arrive_whole_with_their_digests(self):
        run = self.client.generate(model="toy", sample_count=100, seed=7, num_steps=5)

        self.assertEqual(sorted(run.samples), list(range(100)))
        for index, data in run.samples.items():
            self.assertEqual(len(floats(data)), 2)
            self.assertEqual(hashlib.sha256(data).digest(), run.sha256[index])

    def test_a_stream_is_gap_free_opens_with_accepted_and_ends_with_completed(self):
        run = self.client.generate(model="toy", sample_count=10, seed=1, num_steps=20)

        kinds = run.kinds()
        self.assertEqual([event.sequence for event in run.events], list(range(len(kinds))))
        self.assertEqual((kinds[0], kinds[-1]), ("accepted", "completed"))
        self.assertEqual((kinds.count("accepted"), kinds.count("completed")), (1, 1))
        self.assertEqual((run.completed.samples, run.completed.failed), (10, 0))
        self.assertEqual(run.completed.evals, run.accepted.total_evals)

    def test_previews_of_both_kinds_arrive_at_every_step(self):
        run = self.client.generate(
            model="glyphs", sample_count=3, seed=7, sampler=DDIM, num_steps=4,
            preview=sampling.PreviewOptions(
                indices=[0, 2], kind=sampling.PREVIEW_KIND_BOTH, delivery=sampling.DELIVERY_ALL,
            ),
        )

        seen = {(kind, step, i) for kind, step, shown in run.previews for i in shown}
        both = (sampling.PREVIEW_KIND_X_0, sampling.PREVIEW_KIND_X_T)
        want = {(kind, step, i) for kind in both for step in (1, 2, 3, 4) for i in (0, 2)}
        self.assertEqual(seen, want)

    def test_the_same_seed_gives_the_same_bytes(self):
        request = dict(model="glyphs", sample_count=2, class_labels=[3], sampler=DDIM, num_steps=3)
        first = self.client.generate(**request)
        self.assertTrue(first.samples)
        seed = first.accepted.receipt.seed

        self.assertEqual(self.client.generate(seed=seed, **request).samples, first.samples)
        self.assertNotEqual(self.client.generate(seed=seed ^ 1, **request).samples, first.samples)

    def test_a_client_that_leaves_frees_its_slots(self):
        stream = self.client.start(
            model="glyphs", sample_count=64, seed=7, num_steps=self.model("glyphs").timesteps,
            sampler=sampling.Sampler(ddpm=sampling.Ddpm()),
        )
        total = next(stream).accepted.total_evals
        before = self.wait_for_samples(64)
        self.assertEqual(before.requests, 1)

        stream.cancel()

        after = self.wait_for_samples(0)
        self.assertEqual((after.requests, after.backlog_evals), (0, 0))
        self.assertLess(after.evals - before.evals, total)

    def test_x_T_is_the_documented_noise(self):
        count, seed = 32, 2**63 + 5
        run = self.client.generate(
            model="toy", sample_count=count, seed=seed, sampler=DDIM, num_steps=2,
            clip=sampling.CLIP_NONE,
            preview=sampling.PreviewOptions(
                kind=sampling.PREVIEW_KIND_BOTH, delivery=sampling.DELIVERY_ALL,
            ),
        )

        # After one step of deterministic DDIM, x_t and the prediction of x_0 span the plane of x_T, since
        # all three mix the same x_0 and eps. So two coefficients must explain all elements.
        x_0 = self.first_step(run, sampling.PREVIEW_KIND_X_0)
        x_t = self.first_step(run, sampling.PREVIEW_KIND_X_T)
        x_T = [z for index in range(count) for z in noise.normals(seed, index, 0, 2)]
        a, b = least_squares(x_0, x_t, x_T)
        for p, q, want in zip(x_0, x_t, x_T):
            self.assertAlmostEqual(a * p + b * q, want, delta=1e-3)

    def first_step(self, run, kind):
        """Returns all elements of all samples after their first step, in the order of indices."""
        step = [shown for k, step, shown in run.previews if (k, step) == (kind, 1)]
        samples = {index: data for shown in step for index, data in shown.items()}
        return [x for index in sorted(samples) for x in floats(samples[index])]

    def model(self, name):
        return self.client.models.GetModel(models.GetModelRequest(model=name)).model

    def wait_for_samples(self, count, seconds=20):
        """Waits until `count` samples are waiting or in flight; returns the server's load."""
        end = time.monotonic() + seconds
        while True:
            load = self.client.load()
            if load.samples_waiting + load.samples_running == count:
                return load
            self.assertLess(time.monotonic(), end, f"unchanged after {seconds} s:\n{load}")
            time.sleep(0.02)


class Refusals(WithServer):
    def test_an_unknown_model_is_not_found(self):
        error = self.refused(model="nonesuch", sample_count=1)

        self.assertEqual(error.code(), grpc.StatusCode.NOT_FOUND)
        self.assertEqual(self.detail(error, error_details_pb2.ErrorInfo).domain, "ddpm")

    def test_zero_samples_are_a_field_violation(self):
        error = self.refused(model="toy", sample_count=0)

        self.assertEqual(error.code(), grpc.StatusCode.INVALID_ARGUMENT)
        violations = self.detail(error, error_details_pb2.BadRequest).field_violations
        self.assertEqual([violation.field for violation in violations], ["samples"])
        self.assertIn("sample_count", violations[0].description)

    def test_too_many_steps_are_a_field_violation(self):
        error = self.refused(model="toy", sample_count=1, num_steps=1_000_000)

        self.assertEqual(error.code(), grpc.StatusCode.INVALID_ARGUMENT)
        violations = self.detail(error, error_details_pb2.BadRequest).field_violations
        self.assertEqual([violation.field for violation in violations], ["num_steps"])

    def refused(self, **request):
        with self.assertRaises(grpc.RpcError) as caught:
            self.client.generate(**request)
        return caught.exception

    def detail(self, error, kind):
        """Returns the detail of that type in a `google.rpc.Status`."""
        metadata = dict(error.trailing_metadata())
        status = status_pb2.Status.FromString(metadata["grpc-status-details-bin"])
        found = kind()
        self.assertTrue(any(detail.Unpack(found) for detail in status.details), status)
        return found


class StandardServices(WithServer):
    def test_health_is_serving_for_the_server_its_services_and_its_models(self):
        health = health_pb2_grpc.HealthStub(self.client.channel)
        for service in ("", *SERVICES, "models/glyphs", "models/toy"):
            request = health_pb2.HealthCheckRequest(service=service)

            checked = health.Check(request).status
            watch = health.Watch(request)
            watched = next(watch).status
            watch.cancel()

            serving = health_pb2.HealthCheckResponse.SERVING
            self.assertEqual((checked, watched), (serving, serving), service)

    def test_health_of_an_unknown_service_is_not_found(self):
        health = health_pb2_grpc.HealthStub(self.client.channel)

        with self.assertRaises(grpc.RpcError) as caught:
            health.Check(health_pb2.HealthCheckRequest(service="nonesuch"))

        self.assertEqual(caught.exception.code(), grpc.StatusCode.NOT_FOUND)

    def test_reflection_lists_the_services_in_both_versions(self):
        request = reflection_pb2.ServerReflectionRequest(list_services="")
        for version in ("v1", "v1alpha"):
            answer = self.reflect(version, request)

            names = {service.name for service in answer.list_services_response.service}
            self.assertLessEqual({*SERVICES, "grpc.health.v1.Health"}, names, version)

    def test_reflection_describes_the_sampling_service(self):
        symbol = "ddpm.v1.SamplingService"
        request = reflection_pb2.ServerReflectionRequest(file_containing_symbol=symbol)
        for version in ("v1", "v1alpha"):
            answer = self.reflect(version, request)

            files = answer.file_descriptor_response.file_descriptor_proto
            self.assertTrue(any(b"ddpm/v1/sampling.proto" in file for file in files), version)

    def reflect(self, version, request):
        """Sends one request to the reflection service of that version.

        The two versions differ only in the name of their package, so the messages of one
        serve for both.
        """
        call = self.client.channel.stream_stream(
            f"/grpc.reflection.{version}.ServerReflection/ServerReflectionInfo",
            request_serializer=reflection_pb2.ServerReflectionRequest.SerializeToString,
            response_deserializer=reflection_pb2.ServerReflectionResponse.FromString,
        )
        return next(call(iter([request])))


def least_squares(p, q, want):
    """Returns the numbers a and b for which a p + b q is nearest to `want`."""
    pp, pq, qq = dot(p, p), dot(p, q), dot(q, q)
    pw, qw = dot(p, want), dot(q, want)
    determinant = pp * qq - pq * pq
    return (pw * qq - qw * pq) / determinant, (qw * pp - pw * pq) / determinant


def dot(x, y):
    return sum(a * b for a, b in zip(x, y))


if __name__ == "__main__":
    end_on_signals()
    main()
