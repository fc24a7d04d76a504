"""Loads packages with Python's diffusers and onnxruntime, and compares them with their golden outputs.

    PYTHONPATH=.peers python3 tests/python/check_diffusers.py PACKAGE…

diffusers must reproduce the golden outputs from the package's weights, its scheduler must have the manifest's
schedule, and its pipeline must run; onnxruntime must reproduce the outputs from the graph. The tolerance is the
importer's: 1e-4 of the largest output, or 1e-4 if no output exceeds 1.
"""

import json
import os
import sys
from pathlib import Path

# onnxruntime reports to its vendor unless this is set before it is loaded.
os.environ["ORT_DISABLE_TELEMETRY"] = "1"

import numpy as np
import onnxruntime
import torch
from diffusers import DDPMPipeline, DDPMScheduler, UNet2DModel
from safetensors.numpy import load_file


def check(package):
    """Raises AssertionError if a package fails a check."""
    manifest = json.loads((package / "ddpm.json").read_text())
    golden = load_file(package / "testdata/golden.safetensors")
    report(package, "onnxruntime", golden, in_onnxruntime(package, golden))
    assert "no pipeline" not in (package / "README.md").read_text(), f"{package} is not for diffusers"
    report(package, "diffusers", golden, in_diffusers(package, golden))
    check_scheduler(package, manifest)
    if not manifest["classes"]:
        check_pipeline(package, manifest)


def report(package, engine, golden, outputs):
    want = golden["out_sample"]
    difference, allowed = abs(outputs - want).max(), 1e-4 * max(1, abs(want).max())
    print(f"{package.name}: {engine} differs by {difference:.1e}, allowed {allowed:.1e}")
    assert difference <= allowed


def in_onnxruntime(package, golden):
    session = onnxruntime.InferenceSession(package / "unet/model.onnx")
    inputs = {name: value for name, value in golden.items() if name != "out_sample"}
    return session.run(None, inputs)[0]


@torch.inference_mode()
def in_diffusers(package, golden):
    unet = UNet2DModel.from_pretrained(package, subfolder="unet", use_safetensors=True).eval()
    tensors = {name: torch.from_numpy(value) for name, value in golden.items()}
    return unet(tensors["sample"], tensors["timestep"], tensors.get("class_labels")).sample.numpy()


def check_scheduler(package, manifest):
    scheduler = DDPMScheduler.from_pretrained(package, subfolder="scheduler")
    # diffusers computes in f32, and computes cosine schedules itself.
    want = np.cumprod(1 - np.array(manifest["schedule"]["betas"]))
    assert abs(scheduler.alphas_cumprod.numpy() - want).max() < 1e-5
    names = {"eps": "epsilon", "x_0": "sample", "v": "v_prediction"}
    assert scheduler.config.prediction_type == names[manifest["prediction"]]
    assert scheduler.config.variance_type.replace("_", "-") == manifest["variance"]


def check_pipeline(package, manifest):
    pipeline = DDPMPipeline.from_pretrained(package, use_safetensors=True)
    pipeline.set_progress_bar_config(disable=True)
    images = pipeline(batch_size=1, num_inference_steps=2, output_type="np").images
    channels, height, width = manifest["sample_shape"]
    assert images.shape == (1, height, width, channels) and np.isfinite(images).all()


if __name__ == "__main__":
    assert len(sys.argv) > 1, __doc__
    for path in map(Path, sys.argv[1:]):
        check(path)
