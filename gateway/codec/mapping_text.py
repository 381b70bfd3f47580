"""What a mapping takes, in words, for `check-config`."""

from gateway.codec.json_options import JsonOptions, ReadingOptions


def describe_mapping(options: JsonOptions) -> list[str]:
    """A few lines on the documents that these options map."""
    items = f"each item at {options.items}" if options.items else "the document"
    lines = [f"{items} is a meter, its id at {options.meter}"]
    lines += [f"  {_reading(reading)}" for reading in options.readings]
    if options.medium_path is not None:
        media = ", ".join(f"{word} = {medium}" for word, medium in options.media.items())
        lines.append(f"medium at {options.medium_path}: {media}")
    if options.time is None:
        lines.append("time: that of receipt, marked as such; retained messages are passed over")
    else:
        marked = ", of a receiver's clock and marked as such" if options.time_of_receiver else ""
        missing = "rejected" if options.time_missing == "reject" else "the time of receipt is taken and marked"
        lines.append(f"time at {options.time}, form {options.time_form}{marked}; where it is missing: {missing}")
    for path, texts in options.only_if.items():
        lines.append(f"only where {path} is {' or '.join(text or 'missing' for text in texts)}")
    if options.zero == "reject":
        lines.append("registers of zero are rejected")
    if options.unique_by:
        lines.append(f"a message is passed over if one with the same {', '.join(options.unique_by)} came before")
    return lines


def _reading(reading: ReadingOptions) -> str:
    unit = f"unit at {reading.unit_path}" if reading.unit_path is not None else f"[{reading.unit}]"
    scale = " times the meter's multiplier" if reading.is_count else ""
    scale = scale or (f" times {reading.multiplier}" if reading.multiplier != 1 else "")
    meter = f", meter at {reading.meter}" if reading.meter is not None else ""
    suffix = f", stored as id{reading.meter_suffix}" if reading.meter_suffix else ""
    deltas = f", steps of {reading.deltas.interval_s} s at {reading.deltas.path}" if reading.deltas else ""
    need = "" if reading.required else " (if there)"
    medium = reading.medium or "medium as sent"
    return f"{medium}: register at {' + '.join(reading.register_paths)} {unit}{scale}{meter}{suffix}{deltas}{need}"
