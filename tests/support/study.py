"""Small studies for tests."""

LUMPED = """
name = "small"
seeds = 20
claims = ["A1", "A5"]

[design]
learning_rate = 0.1
rounds = 20
eval_every = 5

[[conditions]]
name = "G=1"

[[conditions]]
name = "G=4"
rollouts = 4

[[conditions]]
name = "placebo"
reward = "random"

[[sim]]
world = "lumped"
classes = [{name = "correct", arms = 1, mass = 0.3, reward = 1}, {name = "wrong", arms = 999, mass = 0.7, reward = 0}]
"""

LLM = """
[[llm]]
model = "tiny-qwen2"
queries = {count = 2, base_pass_at_1 = [0.1, 0.6], pool = 24, samples = 32}
test_items = 8
seeds = 2
rounds = 4
eval_every = 2
eval_samples = 8
final_eval_samples = 16
final_test_samples = 1
"""
