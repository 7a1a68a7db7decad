"""The demo: a clearly labelled answer of our own, so that every door can be tried before any provider is set up.

supports: text, streamed at the pace of a quick model; the caller's limit of tokens. never: an answer to the question.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from core.adapters.base import Pause, Plays, Step, Target
from core.chat import Call, Finish, FinishReason, Role, TextDelta, Usage, UsageDelta
from core.chat.tokens import estimate, estimate_messages
from core.kit.text import one_line

NAME = "demo"
DEMO_MODEL = "demo"
"""The public name of the model that the first start adds."""
CHUNKS_PER_S = 80
QUOTED = 120
"""Graphemes of the question that are quoted."""

_CJK = re.compile("[\u3400-\u9fff]")
# Words with the space behind them, and Chinese two characters at a time: about what models send in one piece.
_CHUNKS = re.compile("[\u3000-\u9fff\uff00-\uffef]{1,2}|\\s+|[^\\s\u3000-\u9fff\uff00-\uffef]{1,7}\\s?")

_ENGLISH = """\
# This is the demo model

{quote}**No AI model wrote this.** Parley answered by itself, so that you can see how answers look in the place where \
you are reading before anyone has connected a provider.

## What a real answer may contain

1. **Bold**, *italic*, ~~struck~~ and `code` within a sentence
2. Lists, also inside each other:
   - this one streams piece by piece
   - *Stop* ends it at once, and what has come stays
3. Links such as [CommonMark](https://commonmark.org/)

> Quotations stand apart from the rest.

### Code

```python
def greet(name: str) -> str:
    \"\"\"Say hello to somebody.\"\"\"
    return f"Hello, {{name}}!"


print(greet("Parley"))
```

### A table

| Door | Streams by | Stop |
|:-----|:-----------|:----:|
| Web page | events | yes |
| Telegram | drafts | yes |
| Discord | edits | yes |
| API | chunks | yes |

### A formula

Inline, as in $e^{{i\\pi}} + 1 = 0$, or by itself:

$$
\\int_{{-\\infty}}^{{\\infty}} e^{{-x^2}}\\,dx = \\sqrt{{\\pi}}
$$

---

To hear a real model, an administrator adds a channel:

```sh
parley channel add --name first --base-url https://api.example.com/v1 --key sk-... --model my-model --free
```
"""

_CHINESE = """\
# 这是演示模型

{quote}**这段文字不是 AI 模型写的。** 还没有连接任何服务商时,Parley 自己作答,好让你看看答案在这里是什么样子。

## 真正的答案可以有什么

1. 句子里的 **粗体**、*斜体*、~~删除线~~ 和 `代码`
2. 列表,也可以嵌套:
   - 这个答案是一点一点传来的
   - 按“停止”会立刻结束,已经出现的文字会留下

> 引用会单独显示。

### 代码

```python
def greet(name: str) -> str:
    return f"你好,{{name}}!"


print(greet("Parley"))
```

### 表格

| 入口 | 方式 | 停止 |
|:-----|:-----|:----:|
| 网页 | 事件流 | 可以 |
| Telegram | 草稿 | 可以 |
| Discord | 编辑 | 可以 |
| API | 数据块 | 可以 |

### 公式

行内公式 $e^{{i\\pi}} + 1 = 0$,或者单独一行:

$$
\\int_{{-\\infty}}^{{\\infty}} e^{{-x^2}}\\,dx = \\sqrt{{\\pi}}
$$

---

想和真正的模型对话,请管理员添加一个渠道:

```sh
parley channel add --name first --base-url https://api.example.com/v1 --key sk-... --model my-model --free
```
"""


class Demo(Plays):
    """The dialect that needs no provider."""

    name = NAME

    def play(self, call: Call, target: Target) -> Iterator[Step]:
        """The demo text, within the caller's limit; in one go for callers that wait for the whole."""
        text, reason = _within(answer(call), call.options.max_output)
        for chunk in _CHUNKS.findall(text) if call.stream else (text,):
            yield TextDelta(chunk)
            if call.stream:
                yield Pause(1 / CHUNKS_PER_S)
        yield UsageDelta(Usage(estimate_messages(call.messages, call.tools), estimate(text), estimated=True))
        yield Finish(reason)


def answer(call: Call) -> str:
    """The text, in Chinese for a question in Chinese; the question is quoted at its beginning."""
    question = next((message.text for message in reversed(call.messages) if message.role is Role.USER), "")
    chinese = _CJK.search(question) is not None
    quoted = one_line(question, QUOTED)
    said = "你问的是" if chinese else "You asked"
    quote = f"{said}:\n\n> {quoted}\n\n" if quoted else ""
    return (_CHINESE if chinese else _ENGLISH).format(quote=quote)


def _within(text: str, max_output: int | None) -> tuple[str, FinishReason]:
    if max_output is None or estimate(text) <= max_output:
        return text, FinishReason.STOP
    least, most = 0, len(text)
    while least < most:
        middle = (least + most + 1) // 2
        if estimate(text[:middle]) <= max_output:
            least = middle
        else:
            most = middle - 1
    return text[:least], FinishReason.LENGTH
