"""A worker plug-in whose behaviour its name spells: ``right``, ``wrong``, ``late``, ``dies``..."""

import os
import time

import numpy as np


def start(argument, threads):
    if argument == "absent":
        raise ImportError("No module named 'absent'")
    print("libraries may print")
    return f"1.0 on {threads}"


def make(argument, row, inputs, threads):
    a, b = inputs
    calls = iter(range(10**9))

    def right():
        return a + b

    def drifts():
        return a + b + np.float32(next(calls) > 20)

    def hangs():
        time.sleep(60)

    def raises():
        raise ArithmeticError("no such sum")

    def slow():
        time.sleep(0.002)
        return a + b

    return {
        "right": right,
        "wrong": lambda: a - b,
        "short": lambda: (a + b)[:-1],
        "nan": lambda: (a + b) * np.float32("nan"),
        "drifts": drifts,
        "dies": os.abort,
        "hangs": hangs,
        "raises": raises,
        "slow": slow,
        "refuses": None,
    }[argument]
