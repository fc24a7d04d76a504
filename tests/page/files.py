#!/usr/bin/env python3
"""Opens a file that the page saved with another program's code, and prints what is in it as JSON.

    files.py FILE.png    its size; an animation's frames with their times and how many differ
    files.py FILE.gif    the same
    files.py FILE.npy    its type, shape and elements, and of images their pixels as bytes, height x width x channels
    files.py FILE.json   its content
"""

import json
import sys
from pathlib import Path

import numpy as np
from PIL import Image, ImageSequence


def picture(path):
    with Image.open(path) as image:
        times, frames = [], []
        for frame in ImageSequence.Iterator(image):
            times.append(frame.info.get("duration"))
            frames.append(frame.convert("RGB").tobytes())
        return {
            "format": image.format,
            "size": image.size,
            "times": times,
            "different": len(set(frames)),
            "colours": len(Image.frombytes("RGB", image.size, frames[-1]).getcolors(1 << 24)),
        }


def array(path):
    elements = np.load(path, allow_pickle=False)
    found = {"type": str(elements.dtype), "shape": elements.shape, "elements": elements.ravel().tolist()}
    if elements.ndim == 4:
        pixels = elements
        if elements.dtype == np.float32:
            pixels = np.clip(np.rint(elements.transpose(0, 2, 3, 1) * 127.5 + 127.5), 0, 255)
        found["pixels"] = pixels.astype(np.uint8).ravel().tolist()
    return found


def main():
    path = Path(sys.argv[1])
    readers = {
        ".png": picture,
        ".apng": picture,
        ".gif": picture,
        ".npy": array,
        ".json": lambda path: json.loads(path.read_text(encoding="utf-8")),
    }
    json.dump(readers[path.suffix](path), sys.stdout)


if __name__ == "__main__":
    main()
