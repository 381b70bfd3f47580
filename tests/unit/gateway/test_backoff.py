import random

from gateway.backoff import Backoff


def test_pauses_grow_to_the_longest_with_jitter_and_start_over():
    backoff = Backoff(0.1, 1.0, random.Random(1))
    pauses = [backoff.next_pause_s() for _ in range(10)]
    bounds = [0.1, 0.2, 0.4, 0.8] + [1.0] * 6
    assert all(bound / 2 <= pause <= bound for pause, bound in zip(pauses, bounds, strict=True))
    assert len(set(pauses)) == 10
    backoff.reset()
    assert backoff.next_pause_s() <= 0.1
