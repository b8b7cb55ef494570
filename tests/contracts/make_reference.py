"""Makes reference_minilm.json: what all-MiniLM-L6-v2 says in float32, through sentence-transformers on torch.

    python tests/contracts/make_reference.py        in an environment with the extra `torch`, from the repository's root

The texts are of every length from none to more than the model reads, in many scripts, with what users really send.
"""

import base64
import json
import random
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from models.settings import ModelSettings
from models.weights import fetch

MODEL = "all-MiniLM-L6-v2"
WORDS = """attention self observation consciousness plane monad essence personality imagination assumption feeling state
revenue customer method the of a in is to and not we who what when remember sleep awake world law harmony river seven
development relationship boundary unconditionally interdisciplinary quicksilver 1949 0.5 three-fold"""
WORD_COUNTS = (1, 2, 3, 4, 6, 8, 11, 15, 20, 27, 36, 48, 64, 85, 110, 140, 170, 200, 220, 254, 300, 450, 600)
KINDS = (
    "",
    " ",
    "a",
    "?",
    "Hello world",
    "HELLO WORLD",
    "What does it mean to remember oneself?",
    "Remember yourself always and everywhere.",
    "An assumption, though false, if persisted in, will harden into fact.",
    "The cat sat on the mat.",
    "Quarterly revenue grew by 12.5 % to $1,234,567.89 (see p. 42).",
    "¿Qué significa recordarse a sí mismo?",
    "Que signifie se souvenir de soi ?",
    "Was bedeutet es, sich selbst zu erinnern? Größe, Übung, Straße.",
    "Что значит помнить себя?",
    "自己を想起するとはどういうことか。",
    "记住自己意味着什么？",  # noqa: RUF001  the question mark of its script
    "자신을 기억한다는 것은 무엇을 의미합니까?",
    "ما معنى أن يتذكر المرء نفسه؟",
    "मनुष्य स्वयं को कैसे याद रखे?",
    "Cafe\u0301 and café are one word; so are ﬁne and fine to a reader.",
    "👩‍👩‍👧‍👦 🌍 ❤️ it is 🔥",
    "tabs\tand\nnew\r\nlines   and    spaces",
    "a\u0000nul\u200b, a zero width space and a soft\u00adhyphen",
    "def encode(self, texts: Sequence[str]) -> Vectors:  # {'json': [1, 2, 3]}",
    "<p>Some <b>bold</b> text &amp; more</p>",
    "https://example.org/a/very/long/path?query=string&other=1#fragment",
    "x" * 300,
    "!!!???...---***" * 5,
    "[CLS] [SEP] [MASK] [PAD] are tokens to a model and text to a user",
    "الكتاب " * 60,
    "漢字" * 200,
    "ä" * 400,
)


def texts() -> list[str]:
    """The kinds, then one text for each word count, from a fixed seed."""
    draw = random.Random(20261123)  # noqa: S311  texts for a test, no secret
    return [*KINDS, *(" ".join(draw.choices(WORDS.split(), k=count)) for count in WORD_COUNTS)]


def main() -> None:
    import sentence_transformers
    import torch

    folder = fetch(MODEL, ModelSettings())
    model = sentence_transformers.SentenceTransformer(str(folder), device="cpu", model_kwargs={"dtype": torch.float32})
    chosen = texts()
    vectors = model.encode(chosen, batch_size=1, normalize_embeddings=True)  # one at a time: nothing is padded
    reference = {
        "model": MODEL,
        "made_with": {"torch": torch.__version__, "sentence-transformers": sentence_transformers.__version__},
        "dim": vectors.shape[1],
        "texts": chosen,
        "vectors_float32_base64": [base64.b64encode(row.astype("<f4").tobytes()).decode() for row in vectors],
    }
    path = Path(__file__).with_name("reference_minilm.json")
    path.write_text(json.dumps(reference, ensure_ascii=True, indent=0) + "\n")


if __name__ == "__main__":
    main()
