"""Fuzzing of the codecs guided by coverage (atheris, libFuzzer): `make fuzz SECONDS=600 CODECS="dlt645 cjt188"`.

Each target (a codec with one source's options) runs in a process of its own for its share of the time, starting from
its golden payloads. What must hold for any payload is `check` of tests/unit/gateway/codec_targets.py. An input that
breaks it is kept in var/fuzz/CODEC and named at the end.
"""

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "tests/unit/gateway")]
TIMEOUT_S = 5  # of one input
MEMORY_MB = 2048
LENGTH_MAX = 8192


def fuzz_one(codec: str, number: int, rest: list[str]) -> None:
    """Fuzz one target for ever: libFuzzer ends the process by its own options in `rest`."""
    import atheris  # noqa: PLC0415  # it is not where the parent process and the checks of style run

    with atheris.instrument_imports(include=["gateway.codec"]):
        from codec_targets import check, repaired, targets  # noqa: PLC0415  # imported under its instrumentation

        target = targets([codec])[number]  # loads the codec's modules
    topic = target.seeds[-1][0]

    def test_one_input(payload: bytes) -> None:
        instance = target.make()
        for seed_topic, seed in target.seeds if codec == "sparkplug_b" else ():
            check(codec, instance, seed_topic, seed)  # a session, so that aliases mean something
        check(codec, instance, topic, payload)
        check(codec, instance, topic, repaired(codec, payload))

    atheris.Setup([sys.argv[0], *rest], test_one_input)
    atheris.Fuzz()


def fuzz_all(codecs: list[str], seconds: float) -> int:
    """Every target for its share of the time; returns how many failed."""
    from codec_targets import built_in_names, targets  # noqa: PLC0415  # not before a child's instrumentation

    codecs = codecs or built_in_names()
    jobs: list[tuple[str, int, list[bytes]]] = []
    for codec in codecs:
        jobs += [(codec, i, [seed for _, seed in target.seeds]) for i, target in enumerate(targets([codec]))]
    share_s = max(1, round(seconds / len(jobs)))
    failed = [f"{codec} {number}" for codec, number, seeds in jobs if not _run(codec, number, seeds, share_s)]
    print(f"{len(jobs)} targets, {share_s} s each: " + (f"failed: {', '.join(failed)}" if failed else "nothing found"))
    return len(failed)


def _run(codec: str, number: int, seeds: list[bytes], share_s: int) -> bool:
    kept = ROOT / "var/fuzz" / codec
    kept.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as corpus:
        for i, seed in enumerate(seeds):
            (Path(corpus) / f"seed{i}").write_bytes(seed)
        options = [f"-max_total_time={share_s}", f"-timeout={TIMEOUT_S}", f"-rss_limit_mb={MEMORY_MB}"]
        options += [f"-max_len={LENGTH_MAX}", f"-artifact_prefix={kept}/{number}-", corpus]
        command = [sys.executable, __file__, "--one", codec, str(number), *options]
        ended = subprocess.run(command, capture_output=True, text=True, check=False)
    lines = [line for line in ended.stderr.splitlines() if "DONE" in line or "stat::" in line]
    print(f"{codec} {number}: {lines[-1].strip() if lines else 'no summary'}", flush=True)
    if ended.returncode:
        print(ended.stdout[-2000:], ended.stderr[-6000:], sep="\n", flush=True)
    return ended.returncode == 0


def main() -> None:
    """Read the command line."""
    if sys.argv[1:2] == ["--one"]:
        fuzz_one(sys.argv[2], int(sys.argv[3]), sys.argv[4:])
        return
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("codecs", nargs="*", help="all built-in ones where none is named")
    parser.add_argument("--seconds", type=float, default=120, help="time for all targets together [s]")
    arguments = parser.parse_args()
    sys.exit(1 if fuzz_all(arguments.codecs, arguments.seconds) else 0)


if __name__ == "__main__":
    main()
