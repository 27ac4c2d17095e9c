# ruff: noqa: E402 (what is tested is that a library is imported after the recording was switched on)
import charkh

charkh.autolog("keras")

import keras
import numpy as np

rows = np.random.default_rng(0).normal(size=(32, 3)).astype("float32")
model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(1)])
model.compile("sgd", "mse")
with charkh.run("dense"):
    model.fit(rows, rows[:, :1], epochs=3, validation_split=0.25, verbose=0)
