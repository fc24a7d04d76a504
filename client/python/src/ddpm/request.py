"""Keyword arguments → a request of the contract.

Names of samplers, grids and the like are those of the contract, read from its descriptors: what a newer server offers
needs the newer stubs, and no change here.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Union

import numpy as np

from ddpm.errors import RequestError
from ddpm.v1 import sampling_pb2 as v1

#: A name, ``(name, options)``, or a message of the contract.
SamplerLike = Union[str, tuple[str, Mapping[str, Any]], v1.Sampler]

#: Most samples of a run: each is remembered until it has come.
_MOST_SAMPLES = 10_000_000

_DTYPES = {"uint8": v1.FORMAT_RAW_U8, "float32": v1.FORMAT_RAW_F32}


def samplers() -> list[str]:
    """Returns the names of all samplers."""
    return [field.name for field in v1.Sampler.DESCRIPTOR.oneofs_by_name["kind"].fields if field.name != "program"]


def build(
    model: str,
    count: int | None = None,
    *,
    indices: Iterable[int] | None = None,
    version: str = "",
    seed: int | None = None,
    classes: Sequence[int] = (),
    sampler: SamplerLike | None = None,
    steps: int | None = None,
    grid: str | None = None,
    clip: str | None = None,
    guidance: float | None = None,
    guidance_interval: tuple[float | None, float | None] | None = None,
    images: Any = None,
    strength: float | None = None,
    states: Any = None,
    inpaint: tuple[Any, Any] | None = None,
    dtype: str | None = None,
    priority: str | None = None,
    strict: bool = False,
    graph: str = "",
    on_deadline: str | None = None,
    request_id: str = "",
    previews: int | None = None,
    show: str | None = None,
    watch: Iterable[int] | None = None,
    every_preview: bool = False,
    base: v1.GenerateRequest | None = None,
) -> v1.GenerateRequest:
    """Builds a request; see :meth:`ddpm.Client.stream` for the arguments.

    Raises :class:`RequestError`, naming the argument.
    """
    request = v1.GenerateRequest()
    if base is not None:
        request.CopyFrom(base)
    request.model = model
    request.version = version or request.version
    request.request_id = request_id or request.request_id
    _set_indices(request, count, indices)
    if seed is not None:
        request.seed = _whole("seed", seed, 0, 2**64 - 1)
    if len(classes) > 0:
        del request.class_labels[:]
        request.class_labels.extend(_whole("classes", label, 0, 2**32 - 1) for label in classes)
    if sampler is not None:
        request.sampler.CopyFrom(_sampler(sampler))
    if steps is not None:
        request.num_steps = _whole("steps", steps, 0, 2**32 - 1)
    for name, value in (("grid", grid), ("clip", clip), ("priority", priority), ("on_deadline", on_deadline)):
        if value is not None:
            setattr(request, name, _choice(name, value))
    if strict:
        request.determinism = v1.DETERMINISM_STRICT
    request.graph = graph or request.graph
    if dtype is not None:
        if dtype not in _DTYPES:
            raise RequestError(f"dtype: {dtype!r} is neither 'uint8' nor 'float32'")
        request.format = _DTYPES[dtype]
    if guidance is not None:
        request.guidance.scale = float(guidance)
    if guidance_interval is not None:
        if guidance is None:
            raise RequestError("guidance_interval: pass guidance, its scale, too")
        least, most = guidance_interval
        if least is not None:
            request.guidance.sigma_min = float(least)
        if most is not None:
            request.guidance.sigma_max = float(most)
    _set_initial(request, images, strength, states)
    if inpaint is not None:
        known, mask = inpaint
        request.inpaint.image.CopyFrom(_tensor("inpaint", known))
        request.inpaint.mask.CopyFrom(_mask(mask))
        if request.inpaint.WhichOneof("method") is None:
            request.inpaint.replace_x_0.SetInParent()
    _set_preview(request, previews, show, watch, every_preview)
    return request


def ranges(indices: Sequence[int]) -> v1.IndexRanges:
    """Returns indices as runs of consecutive ones."""
    found = v1.IndexRanges()
    for index in sorted(indices):
        last = found.ranges[-1] if found.ranges else None
        if last is not None and last.first + last.count == index:
            last.count += 1
        else:
            found.ranges.add(first=index, count=1)
    return found


def indices_of(request: v1.GenerateRequest) -> list[int]:
    """Returns the indices that a request asks for."""
    if request.WhichOneof("samples") == "index_ranges":
        return [one.first + k for one in request.index_ranges.ranges for k in range(one.count)]
    return list(range(request.sample_count))


def _set_indices(request: v1.GenerateRequest, count: int | None, indices: Iterable[int] | None) -> None:
    if count is not None and indices is not None:
        raise RequestError("pass count or indices, not both")
    if indices is not None:
        wanted = [_whole("indices", index, 0, 2**64 - 2) for index in indices]
        if len(set(wanted)) != len(wanted):
            raise RequestError("indices: each may appear only once")
        if not wanted:
            raise RequestError("indices: name at least one")
        request.index_ranges.CopyFrom(ranges(wanted))
    elif count is not None or request.WhichOneof("samples") is None:
        request.sample_count = _whole("count", 1 if count is None else count, 0, _MOST_SAMPLES)


def _whole(name: str, value: Any, least: int, most: int) -> int:
    try:
        whole = int(value)
        exact = whole == value
    except (TypeError, ValueError, OverflowError):
        exact = False
    if not exact or isinstance(value, bool) or not least <= whole <= most:
        raise RequestError(f"{name}: {value!r} is not a whole number from {least} to {most}")
    return whole


def _sampler(sampler: SamplerLike) -> v1.Sampler:
    if isinstance(sampler, v1.Sampler):
        return sampler
    name, options = (sampler, {}) if isinstance(sampler, str) else sampler
    field = name.replace("-", "_").replace("++", "_pp").lower()
    if field not in samplers():
        raise RequestError(f"sampler: there is no {name!r}; there are {', '.join(samplers())}")
    message = v1.Sampler()
    kind = getattr(message, field)
    kind.SetInParent()
    for option, value in options.items():
        found = kind.DESCRIPTOR.fields_by_name.get(option)
        if found is None:
            known = ", ".join(kind.DESCRIPTOR.fields_by_name) or "none"
            raise RequestError(f"sampler: {name} has no option {option!r}; it has {known}")
        try:
            value = found.enum_type.values_by_name[_enum_name(found.enum_type, value)].number if found.enum_type else value
            setattr(kind, option, value)
        except (KeyError, TypeError, ValueError) as error:
            raise RequestError(f"sampler: {option} cannot be {value!r} ({error})") from None
    return message


def _enum_name(enum: Any, value: str) -> str:
    """Returns the whole name of a value, of which the common prefix was left out."""
    prefix = enum.values[0].name.removesuffix("UNSPECIFIED")
    name = str(value).upper().replace("-", "_")
    return name if name in enum.values_by_name else prefix + name


def _choice(field: str, value: str) -> int:
    enum = v1.GenerateRequest.DESCRIPTOR.fields_by_name[field].enum_type
    found = enum.values_by_name.get(_enum_name(enum, value))
    if found is None:
        prefix = enum.values[0].name.removesuffix("UNSPECIFIED")
        names = ", ".join(one.name.removeprefix(prefix).lower() for one in enum.values[1:])
        raise RequestError(f"{field}: there is no {value!r}; there are {names}")
    return found.number


def _tensor(name: str, image: Any) -> v1.Tensor:
    """Returns an image: (height, width, channels) or (height, width) of uint8, or values of the model as they are."""
    array = np.asarray(image)
    if array.dtype == np.uint8:
        if array.ndim not in (2, 3):
            raise RequestError(f"{name}: an image of uint8 is (height, width, channels), not {array.shape}")
        return v1.Tensor(format=v1.FORMAT_RAW_U8, data=np.ascontiguousarray(array).tobytes())
    if array.dtype.kind != "f":
        raise RequestError(f"{name}: pass uint8 (0 to 255) or floats in the model's scale, not {array.dtype}")
    return v1.Tensor(format=v1.FORMAT_RAW_F32, data=np.ascontiguousarray(array, dtype="<f4").tobytes())


def _mask(mask: Any) -> v1.Tensor:
    array = np.asarray(mask)
    return _tensor("inpaint", array * np.uint8(255) if array.dtype == np.bool_ else array)


def _tensors(name: str, images: Any, single: int) -> list[v1.Tensor]:
    """* ``single``: dimensions of an array that is one image and not several."""
    many = images if isinstance(images, (list, tuple)) else None
    if many is None:
        array = np.asarray(images)
        many = [array] if array.ndim <= single else list(array)
    if not many:
        raise RequestError(f"{name}: pass at least one")
    return [_tensor(name, image) for image in many]


def _set_initial(request: v1.GenerateRequest, images: Any, strength: float | None, states: Any) -> None:
    if images is not None and states is not None:
        raise RequestError("pass images or states, not both")
    if strength is not None and images is None:
        raise RequestError("strength: pass images, from which samples start, too")
    if images is not None:
        found = v1.InitialImages(images=_tensors("images", images, 3))
        if strength is not None:
            found.strength = float(strength)
        request.initial.images.CopyFrom(found)
    if states is not None:
        array = np.asarray(states)
        if array.dtype.kind != "f":
            raise RequestError(f"states: pass floats in the scale of the process, not {array.dtype}")
        # Points are (2,), images (channels, height, width).
        single = 1 if array.shape[-1:] == (2,) and array.ndim <= 2 else 3
        request.initial.states.states.extend(_tensors("states", array, single))


def _set_preview(
    request: v1.GenerateRequest,
    previews: int | None,
    show: str | None,
    watch: Iterable[int] | None,
    every_preview: bool,
) -> None:
    if previews is None and show is None and watch is None and not every_preview:
        return
    preview = request.preview
    preview.SetInParent()
    if previews is not None:
        preview.every_steps = _whole("previews", previews, 1, 2**32 - 1)
    if show is not None:
        kinds = {"x_0": v1.PREVIEW_KIND_X_0, "x_t": v1.PREVIEW_KIND_X_T, "both": v1.PREVIEW_KIND_BOTH}
        if show not in kinds:
            raise RequestError(f"show: {show!r} is none of 'x_0', 'x_t' and 'both'")
        preview.kind = kinds[show]
    if watch is not None:
        del preview.indices[:]
        preview.indices.extend(_whole("watch", index, 0, 2**64 - 2) for index in watch)
    if every_preview:
        preview.delivery = v1.DELIVERY_ALL
