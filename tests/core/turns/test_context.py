"""What of a branch reaches the model."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from core.chat import (
    ImagePart,
    Message,
    Profile,
    ReasoningPart,
    Role,
    TextPart,
    ToolCallPart,
    text_message,
)
from core.chat.tokens import estimate_messages
from core.turns.context import MARGIN, build

U, A, S = Role.USER, Role.ASSISTANT, Role.SYSTEM


def branch(*texts: str) -> list[Message]:
    return [text_message(A if at % 2 else U, text) for at, text in enumerate(texts)]


def sent(messages: tuple[Message, ...]) -> list[tuple[Role, str]]:
    return [(message.role, message.text) for message in messages]


def test_a_short_conversation_goes_whole() -> None:
    context = build("be kind", branch("one", "1", "two"), Profile())
    assert sent(context.messages) == [(S, "be kind"), (U, "one"), (A, "1"), (U, "two")]
    assert context.dropped == 0
    assert context.max_output == Profile().max_output
    assert context.input_tokens == estimate_messages(context.messages)


def test_the_oldest_pairs_give_way_and_the_system_text_stays() -> None:
    profile = Profile(window=1000, max_output=200)
    context = build("be kind", branch("a" * 1000, "b" * 1000, "c" * 1000, "d" * 1000, "now"), profile)
    assert [text[:1] for _, text in sent(context.messages)] == ["b", "c", "d", "n"]
    assert context.messages[0].role is S
    assert context.dropped == 2


def test_a_pair_goes_as_a_pair() -> None:
    """The question does not fit, its answer would: neither is sent."""
    context = build("", branch("a" * 3000, "b", "now"), Profile(window=1000, max_output=200))
    assert sent(context.messages) == [(U, "now")]
    assert context.dropped == 2


def test_the_question_itself_is_always_sent() -> None:
    context = build("", branch("a", "b", "c" * 100_000), Profile(window=1000))
    assert sent(context.messages) == [(U, "c" * 100_000)]
    assert context.max_output >= 1


def test_an_answer_takes_at_most_half_of_a_window_it_must_share() -> None:
    context = build("", branch("hi"), Profile(window=1000, max_output=4096))
    assert 400 < context.max_output <= 1000
    tight = build("", branch("c" * 2000), Profile(window=1000, max_output=4096))
    assert tight.max_output == int(1000 * (1 - MARGIN) * 0.5)


def test_answers_without_words_are_left_out_and_questions_join() -> None:
    said = [text_message(U, "one"), Message(A, ()), text_message(U, "two")]
    assert sent(build("", said, Profile()).messages) == [(U, "one\n\ntwo")]


def test_questions_of_two_people_stay_apart() -> None:
    said = [text_message(U, "one", "Ann"), Message(A, ()), text_message(U, "two", "Ben")]
    assert [message.name for message in build("", said, Profile()).messages] == ["Ann", "Ben"]


def test_thoughts_are_not_sent_back_unless_their_family_signed_them() -> None:
    said = [
        text_message(U, "q"),
        Message(A, (ReasoningPart("hm"), TextPart("a"))),
        text_message(U, "r"),
        Message(A, (ReasoningPart("hm", state="{}"), TextPart("b"))),
        text_message(U, "s"),
    ]
    context = build("", said, Profile())
    assert context.messages[1].parts == (TextPart("a"),)
    assert context.messages[3].parts == (ReasoningPart("hm", state="{}"), TextPart("b"))


def test_pictures_go_to_models_that_see() -> None:
    question = Message(U, (ImagePart("data:,"), TextPart("what is this")))
    made = Message(A, (ImagePart("https://x.example/a.png"), TextPart("a cat")))
    said = [question, made, text_message(U, "thanks")]
    assert build("", said, Profile()).messages[0] == question
    assert build("", said, Profile()).messages[1].parts == (TextPart("a cat"),)
    assert build("", said, Profile(vision=False)).messages[0].parts == (TextPart("what is this"),)


@given(
    st.lists(st.integers(0, 5000), min_size=0, max_size=12),
    st.integers(1, 5000),
    st.integers(500, 20_000),
    st.integers(1, 10_000),
)
def test_what_is_sent_fits_and_ends_with_the_question(
    sizes: list[int], question: int, window: int, max_output: int
) -> None:
    said = branch(*("x" * size for size in sizes))
    if len(said) % 2:
        said.append(text_message(A, "."))
    said.append(text_message(U, "q" * question))
    context = build("system", said, Profile(window=window, max_output=max_output))
    assert context.messages[0].role is S
    assert context.messages[-1].text.endswith("q" * question)
    assert context.messages[1].role is U
    assert context.max_output >= 1
    if len(context.messages) > 2:
        assert context.input_tokens + context.max_output <= window


def test_tool_calls_are_kept() -> None:
    said = [text_message(U, "q"), Message(A, (ToolCallPart("c", "f", "{}"),)), text_message(U, "r")]
    assert build("", said, Profile()).messages == tuple(said)
