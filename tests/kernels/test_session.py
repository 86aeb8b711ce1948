"""Many texts at once: each as if it were alone."""

import itertools
import threading
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from ricorda import _kernels
from ricorda.engine.sampling import uniforms as uniforms_of

MakeCase = Callable[..., Any]
Collected = dict[int, tuple[list[int], int, str | None]]


@pytest.fixture
def network(make_case: MakeCase) -> _kernels.Network:
    """Few symbols, so that random texts repeat themselves; weights that favour some."""
    case = make_case(cell="gru", hidden_size=12, vocabulary_size=6)
    case.tensors["output.weight"] *= 6
    made: _kernels.Network = case.network()
    return made


def array(symbols: Iterable[int]) -> NDArray[np.uint32]:
    return np.array(list(symbols), np.uint32)


def begin(session: _kernels.Session, seed: int = 1, **options: Any) -> int:
    right: dict[str, Any] = {
        "ids": array([seed % 6, 2, 3]),
        "sampling": _kernels.SamplingSettings(temperature=0.9),
        "length": 40,
    }
    return session.add(**right | options, seed=seed)


def run(session: _kernels.Session, steps: Iterable[int], threads: int = 1) -> Collected:
    """Advance until all have ended: ids, chosen and ending of each stream."""
    found: Collected = {}
    for count in steps:
        progress = session.advance(count, threads)
        if not progress:
            break
        for stream, ids, *_, chosen, ending in progress:
            found.setdefault(stream, ([], 0, None))[0].extend(ids.tolist())
            found[stream] = (found[stream][0], chosen, ending)
    return found


def alone(network: _kernels.Network, **options: Any) -> tuple[list[int], int, str | None]:
    session = _kernels.Session(network)
    stream = begin(session, **options)
    return run(session, itertools.repeat(1000))[stream]


@pytest.mark.parametrize("options", [
    {"temperature": 1.1, "top_p": 0.95},
    {"temperature": 1.0, "repetition_penalty": 3.0, "repetition_window": 5},
    {"temperature": 2.0, "constraint": (0, [0, 10], list(range(0, 30, 3)), [-1] * 10, [0])},
    {"greedy": True, "repetition_penalty": 1.2},
])  # fmt: skip
def test_a_text_is_what_the_network_says_symbol_by_symbol(
    make_case: MakeCase, kernels: str, options: dict[str, Any]
) -> None:
    case = make_case(cell="lstm", hidden_size=20, num_layers=2, vocabulary_size=30)
    network = case.network(kernels)
    prompt, settings = case.ids(7), _kernels.SamplingSettings(**options)
    session = _kernels.Session(network)
    session.add(prompt, settings, 50, 3)
    ((_, ids, *_),) = session.advance(56)

    logits, state = network.forward(prompt[np.newaxis], np.zeros((2, 2, 1, 20), np.float32))
    uniforms = np.fromiter(itertools.islice(uniforms_of(3), 50), np.float64)
    read = prompt
    for place in range(50):
        recent = read[-options.get("repetition_window", 64) :]
        uniform = uniforms[place : place + 1]
        chosen = _kernels.choose(logits[0, -1], settings, recent, uniform, kernels)
        assert ids[place] == chosen[0]
        logits, state = network.forward(chosen[np.newaxis], state)
        read = np.append(read, chosen)


@pytest.mark.parametrize("threads", [1, 2])
def test_a_stream_writes_the_same_alone_and_among_any_others(
    network: _kernels.Network, threads: int
) -> None:
    session = _kernels.Session(network)
    streams = {begin(session, seed, length=seed % 45): seed for seed in range(70)}
    found = run(session, itertools.cycle([1, 5, 2, 30]), threads)
    assert not session.advance(1)
    for stream, seed in streams.items():
        if seed % 45:
            assert found[stream] == alone(network, seed=seed, length=seed % 45)
        else:
            assert stream not in found


def test_streams_join_and_leave_between_steps(network: _kernels.Network) -> None:
    session = _kernels.Session(network)
    kept = begin(session, 5)
    texts: dict[int, list[int]] = {}
    for round_number in range(43):
        passing = begin(session, 100 + round_number)
        late = begin(session, 6) if round_number == 4 else None
        for stream, ids, *_ in session.advance(1):
            texts.setdefault(stream, []).extend(ids.tolist())
        session.remove(passing)
        if late is not None:
            second = late
    assert texts[kept] == alone(network, seed=5)[0]
    assert texts[second] == alone(network, seed=6)[0][: len(texts[second])]
    assert len(session) == 2


def test_numbers_are_never_used_again(network: _kernels.Network) -> None:
    session = _kernels.Session(network)
    first = begin(session)
    session.remove(first)
    assert begin(session) != first
    with pytest.raises(IndexError):
        session.remove(first)


def test_seeds_and_stream_indices_make_different_texts(network: _kernels.Network) -> None:
    texts = {
        tuple(alone(network, seed=seed, stream_index=index)[0])
        for seed in (1, 2, 2**64 - 1)
        for index in (0, 1, 2**64 - 1)
    }
    assert len(texts) == 9


def test_the_length_ends_a_text(network: _kernels.Network) -> None:
    for length in (1, 2, 40):
        assert alone(network, length=length)[1:] == (length, "length")


def cut(text: Sequence[int], stops: Sequence[Sequence[int]]) -> tuple[list[int], int, bool]:
    """The symbols before the stop sequence that is complete first, and how many were chosen."""
    for end in range(1, len(text) + 1):
        complete = [len(stop) for stop in stops if list(text[:end])[-len(stop) :] == list(stop)]
        if complete:
            return list(text[: end - max(complete)]), end, True
    return list(text), len(text), False


@pytest.mark.parametrize("steps", [1, 2, 7, 1000])
def test_a_text_ends_before_its_stop_sequence(
    network: _kernels.Network, random: np.random.Generator, steps: int
) -> None:
    stopped = 0
    for seed in range(60):
        whole = alone(network, seed=seed)[0]
        stops = [random.integers(0, 6, random.integers(1, 5)).tolist() for _ in range(3)]
        begin_at = int(random.integers(0, 36))
        stops.append(whole[begin_at : begin_at + 4])  # one that does come
        session = _kernels.Session(network)
        stream = begin(session, seed, stops=stops)
        expected, chosen, complete = cut(whole, stops)
        found = run(session, itertools.repeat(steps))[stream]
        assert found == (expected, chosen, "stop" if complete else "length")
        stopped += complete
    assert stopped > 30


def test_only_what_may_become_a_stop_sequence_is_held_back(network: _kernels.Network) -> None:
    for seed in range(30):
        whole = alone(network, seed=seed)[0]
        stops = [[*whole[3:6], 5 - whole[6]], [*whole[10:12], 5 - whole[12]]]
        session = _kernels.Session(network)
        stream = begin(session, seed, stops=stops)
        session.advance(2)  # two symbols of the prompt; the third is read and answered
        released: list[int] = []
        for length in range(1, cut(whole, stops)[1]):
            ((_, ids, *_),) = session.advance(1)
            released += ids.tolist()
            assert released == whole[: length - held(whole[:length], stops)]
        session.remove(stream)


def held(text: Sequence[int], stops: Sequence[Sequence[int]]) -> int:
    """How many of the last symbols are the beginning of a stop sequence."""
    return max(
        count
        for stop in stops
        for count in range(len(stop))
        if list(text[len(text) - count :]) == list(stop[:count])
    )


def test_a_text_may_begin_from_a_state(network: _kernels.Network) -> None:
    settings = _kernels.SamplingSettings(temperature=1.0, repetition_penalty=3.0)
    prompt = array([3, 1, 4, 1, 5])
    _, state = network.forward(prompt[np.newaxis, :4].copy(), np.zeros((1, 1, 1, 12), np.float32))
    later = {"sampling": settings, "ids": prompt[4:], "state": state}
    different = 0
    for seed in range(30):
        expected = alone(network, seed=seed, sampling=settings, ids=prompt)
        assert alone(network, seed=seed, **later, before=prompt[:4]) == expected
        different += alone(network, seed=seed, **later) != expected
    assert different > 0  # the penalty looks at what came before


def test_log_probabilities_are_those_of_the_network(make_case: MakeCase, kernels: str) -> None:
    case = make_case(cell="lstm", hidden_size=20, vocabulary_size=9)
    network, prompt = case.network(kernels), case.ids(4)
    session = _kernels.Session(network)
    settings = _kernels.SamplingSettings(temperature=0.5, top_k=3)
    session.add(prompt, settings, 30, 2, alternatives=4, stops=[[9 - 1] * 20])
    ((_, ids, log_probabilities, best, best_log_probabilities, *_),) = session.advance(40)

    read = np.concatenate([prompt, ids])[np.newaxis]
    state = np.zeros((2, 1, 1, 20), np.float32)
    nats, expected, expected_nats, _ = network.score(
        np.ascontiguousarray(read[:, 3:-1]),
        np.ascontiguousarray(read[:, 4:]),
        network.forward(np.ascontiguousarray(read[:, :3]), state)[1],
        4,
    )
    np.testing.assert_array_equal(log_probabilities, -nats[0])
    np.testing.assert_array_equal(best, expected[0])
    np.testing.assert_array_equal(best_log_probabilities, -expected_nats[0])


def test_log_probabilities_only_where_asked_for(network: _kernels.Network) -> None:
    session = _kernels.Session(network)
    begin(session)
    begin(session, alternatives=0)
    begin(session, alternatives=100)
    none, chosen_only, all_of_them = session.advance(10)
    assert none[2].shape == (0,)
    assert none[3].shape == none[4].shape == (8, 0)
    assert chosen_only[2].shape == (8,)
    assert chosen_only[3].shape == (8, 0)
    assert all_of_them[3].shape == all_of_them[4].shape == (8, 6)


def test_a_saved_stream_continues_as_often_as_wanted(network: _kernels.Network) -> None:
    greedy = _kernels.SamplingSettings(greedy=True)
    whole = alone(network, sampling=greedy)[0]
    session = _kernels.Session(network)
    stream = begin(session, sampling=greedy)
    for steps, chosen in ((1, 0), (1, 0), (1, 1), (20, 21)):  # the prompt has three symbols
        session.advance(steps)
        unread, state = session.save(stream)
        for _ in range(2):
            text = alone(network, sampling=greedy, ids=unread, state=state)[0]
            assert text[: 40 - chosen] == whole[chosen:]


def test_a_text_of_infinite_logits_ends_and_says_so(make_case: MakeCase) -> None:
    case = make_case(cell="rnn", nonlinearity="relu", hidden_size=16)
    session = _kernels.Session(case.network())
    begin(session, ids=case.ids(1), state=np.full((1, 1, 1, 16), np.inf, np.float32))
    fine = begin(session, ids=case.ids(1))
    failed, other = session.advance(3)
    assert failed[-1] == "not finite"
    assert len(failed[1]) == 0
    assert (other[0], len(other[1]), other[-1]) == (fine, 3, None)


def test_several_threads_may_use_one_session(network: _kernels.Network) -> None:
    session = _kernels.Session(network)
    texts: dict[int, list[int]] = {}
    lock = threading.Lock()

    def work(first_seed: int) -> None:
        for seed in range(first_seed, first_seed + 20):
            begin(session, seed)
            for stream, ids, *_ in session.advance(3):
                with lock:
                    texts.setdefault(stream, []).extend(ids.tolist())

    workers = [threading.Thread(target=work, args=(100 * n,)) for n in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    for stream, (ids, *_) in run(session, itertools.repeat(50)).items():
        texts[stream] += ids
    assert len(session) == 80
    assert all(len(text) == 40 for text in texts.values())


def test_an_interrupted_session_hands_out_what_it_has(network: _kernels.Network) -> None:
    session = _kernels.Session(network)
    begin(session, length=40)
    session.interrupt()
    ((_, ids, *_, chosen, _),) = session.advance(30)
    assert len(ids) == chosen == 0  # one step, which read a symbol of the prompt
    ((_, ids, *_),) = session.advance(12)
    assert len(ids) == 11  # nothing of the interruption is left
    expected = alone(network, length=40)[0]
    (rest,) = run(session, itertools.repeat(7)).values()
    assert ids.tolist() + rest[0] == expected


def test_penalties_count_each_stream_by_itself(network: _kernels.Network) -> None:
    sampling = _kernels.SamplingSettings(greedy=True, frequency_penalty=5.0)
    together = _kernels.Session(network)
    begin(together, sampling=sampling)
    begin(together, seed=2)
    first, _ = run(together, itertools.repeat(5)).values()
    assert first == alone(network, sampling=sampling)
    assert len(set(first[0])) > len(set(alone(network, sampling=_greedy())[0]))


def _greedy() -> _kernels.SamplingSettings:
    return _kernels.SamplingSettings(greedy=True)
