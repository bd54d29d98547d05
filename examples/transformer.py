"""The ceiling of a small transformer, with warm-up, on a text that is made here.

    python examples/transformer.py
    lr-ceiling find examples/transformer.py:problem --low 1e-2 --high 1

A builder that takes the learning rate sets it where it likes: here at the peak of a schedule.
"""

import keras
import numpy as np
from keras import layers

from lr_ceiling import KerasProblem, find_ceiling

WORDS = {
    "adjective": ("old", "grey", "small", "clever"),
    "noun": ("cat", "dog", "fox", "owl"),
    "verb": ("sees", "follows", "answers", "forgets"),
}
ORDER = ("adjective", "noun", "verb", "adjective", "noun")
LENGTH, WIDTH = 32, 32


def text(sentences: int, seed: int) -> str:
    """`old cat sees grey dog. small owl ...`"""
    generator = np.random.default_rng(seed)
    said = (" ".join(generator.choice(WORDS[kind]) for kind in ORDER) for _ in range(sentences))
    return ". ".join(said)


LETTERS = sorted(set(text(100, seed=0)))


def examples(written: str) -> tuple[np.ndarray, np.ndarray]:
    """Pieces (n, LENGTH) of a text, as indices of LETTERS, and the letter after each of theirs."""
    codes = np.array([LETTERS.index(letter) for letter in written])
    pieces = np.lib.stride_tricks.sliding_window_view(codes, LENGTH + 1)[::5]
    return pieces[:, :-1], pieces[:, 1:]


def build_model(learning_rate: float) -> keras.Model:
    """A transformer of one block whose learning rate rises to `learning_rate` in 20 steps."""
    read = keras.Input((LENGTH,), dtype="int32")
    places = layers.Embedding(LENGTH, WIDTH)(keras.ops.arange(LENGTH))
    known = layers.Embedding(len(LETTERS), WIDTH)(read) + places
    looked = layers.MultiHeadAttention(4, WIDTH // 4)(known, known, use_causal_mask=True)
    known = layers.LayerNormalization()(known + looked)
    thought = layers.Dense(WIDTH)(layers.Dense(2 * WIDTH, "gelu")(known))
    told = layers.Dense(len(LETTERS))(layers.LayerNormalization()(known + thought))
    model = keras.Model(read, told)
    schedule = keras.optimizers.schedules.CosineDecay(
        0.0, decay_steps=280, warmup_target=learning_rate, warmup_steps=20
    )
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.AdamW(schedule), loss, metrics=["accuracy"])
    return model


# Who knows the words, and guesses which one comes, has eight letters in ten right.
x, y = examples(text(600, seed=0))
unseen = examples(text(50, seed=1))
problem = KerasProblem(build_model, x, y, validation_data=unseen, epochs=3, target=0.7)

if __name__ == "__main__":
    print(find_ceiling(problem, low=1e-2, high=1))
