# %% [markdown]
# # Find what two layers have in common
#
# **Canonical correlation analysis (CCA) finds the weighted sums of neurons on which two layers agree.
# It finds agreement in pure noise as well, so its numbers mean something only if there were many
# examples for each neuron, or if new examples confirm them.**
#
# - **You will** solve CCA by hand on four examples, run it on two trained layers, and learn when not
#   to believe it.
# - **You need** the matrices $L_a$ and $L_b$ of [chapter 1](01-activations.ipynb), and to have heard
#   of the singular value decomposition.
# - **Runtime:** seconds with the default parameters, minutes on all of MNIST. Training two networks
#   takes most of it.
#
# This chapter covers Section 3.2 of
# [Uriot and Izzo (2020)](https://doi.org/10.1145/3377930.3390197): Eq. (1) and Eq. (2), SVCCA, ridge
# CCA, and Bartlett's test, which Section 5.2.2 uses. It takes data of your own, of any kind
# (`-p dataset own.npz`). With fewer validation examples than SVCCA has directions, it leaves Bartlett's
# test out of the last table.

# %% tags=["remove-cell"]
# On Colab: fetch the book and install the package. Anywhere else this cell does nothing.
import os
import sys

if "google.colab" in sys.modules and not os.path.isdir("/content/safecross"):
    from subprocess import run

    address = "https://github.com/safecross/safecross"
    run(["git", "clone", "--depth=1", address, "/content/safecross"], check=True)
    run([sys.executable, "-m", "pip", "install", "-q", "-e", "/content/safecross"], check=True)
    sys.path.insert(0, "/content/safecross")

# %% tags=["parameters"]
dataset = "mnist5k"  # a known data set, or the path of an .npz file
epochs = 20  # passes over the training examples, for both networks
width = 512  # neurons in the hidden layer, as in the paper
seed = 0  # of both networks, and of the planted and random data
directions = 256  # principal directions kept by SVCCA; the paper's choice on MNIST
ridge = 0.1  # penalty lambda, the middle one of the paper's .01, .1 and 1

# %% tags=["hide-input"]
import math

import numpy as np
import pandas as pd
import torch

from safecross import (
    LayerPair,
    bartlett_test,
    cca,
    cca_of_pair,
    correlation,
    layer_pairs,
    load_data,
)
from safecross.book import plots
from safecross.replication.config import Config
from safecross.replication.pairs import train_parents

config = Config(dataset, (width,), epochs, n_pairs=1, operators=("naive",), seed=seed)
random = np.random.default_rng(seed)

# %% [markdown]
# ## Compare mixtures, not neurons
#
# Two networks have learned the same task. Does the second one *contain* what the first one knows?
# A comparison of single neurons may miss it. What one network holds in a single neuron, the other may spread
# over ten. And the next layer reads nothing but mixtures of neurons anyway.
#
# So let us ask about mixtures. Take a weighted sum of the neurons of *a*, $z_a = L_a w_a$, and one of
# the neurons of *b*, $z_b = L_b w_b$. Both are lists of $n$ numbers, one for each example. **CCA finds
# the weights for which the two lists correlate most.** Then it looks for the second best pair of sums,
# uncorrelated with the first, and so on. Before that, the columns of both matrices are *standardised*:
# shifted and scaled to mean zero and variance one.
#
# $$
# \hat\rho_k = \max_{w_a^k,\, w_b^k} \langle z_a^k, z_b^k \rangle
#            = \max_{w_a^k,\, w_b^k} \langle L_a w_a^k,\, L_b w_b^k \rangle
# \tag{1}
# $$
#
# subject to
#
# $$
# \begin{aligned}
# \lVert z_a^k \rVert_2 &= \lVert z_b^k \rVert_2 = 1, \\
# \langle z_a^k, z_a^r \rangle &= \langle z_b^k, z_b^r \rangle = 0 \quad \text{for } r < k .
# \end{aligned}
# $$
#
# The words for these: $w_a^k$ and $w_b^k$ are the $k$-th **canonical weights**, $z_a^k$ and $z_b^k$ the
# **canonical variates**, and $\hat\rho_k$ is the $k$-th **canonical correlation**. The three together
# are the $k$-th **component**. A canonical correlation lies between 0 and 1: if it were negative, the
# other sign of $w_b^k$ would make it positive. CCA was invented by
# [Hotelling (1936)](https://doi.org/10.1093/biomet/28.3-4.321); a good tutorial is that of
# [Uurtio et al. (2017)](https://doi.org/10.1145/3136624).
# [Raghu et al. (2017)](https://arxiv.org/abs/1706.05806) and
# [Morcos et al. (2018)](https://arxiv.org/abs/1806.05759) use it to say how similar two layers are. A
# later measure of similarity, CKA
# ([Kornblith et al., 2019](https://arxiv.org/abs/1905.00414)), gives no weights, and so says nothing
# about single neurons.
#
# One remark on scale. The paper asks for variates of length 1; the package gives them variance 1. This
# multiplies all weights by $\sqrt{n-1}$ and changes nothing else.
#
# ## Four examples by hand
#
# Let a signal $s$ and two disturbances $u$ and $v$ have these values on four examples. Each has mean
# zero, and any two of them are uncorrelated:
#
# $$
# s = (1, 1, -1, -1), \quad u = (1, -1, 1, -1), \quad v = (1, -1, -1, 1).
# $$
#
# Network *a* has two neurons, $a_1 = s + u$ and $a_2 = s - u$. Network *b* has $b_1 = s + v$ and
# $b_2 = v$. No neuron of *a* equals a neuron of *b*. But $a_1 + a_2 = 2s$ and $b_1 - b_2 = s$: both
# networks know $s$ perfectly, and both have it only in a mixture. CCA should find these weights and a
# canonical correlation of 1, and have nothing left for the second component.

# %%
signs = [[1, 1, -1, -1], [1, -1, 1, -1], [1, -1, -1, 1]]
s, u, v = torch.tensor(signs, dtype=torch.float64)
a, b = torch.stack([s + u, s - u], 1), torch.stack([s + v, v], 1)
hand = cca(a, b)
weights_a = hand.weights_a[:, 0] / a.std(0)  # of a_1 and a_2, not standardised
weights_b = hand.weights_b[:, 0] / b.std(0)

# %% tags=["hide-input"]
sign = weights_b[0].sign()
fig = plots.matrices(
    [correlation(a, b), torch.stack([weights_a, weights_b]) * sign, hand.correlations[:, None]],
    [
        "correlation of\nsingle neurons",
        "weights of the\nfirst component",
        "canonical\ncorrelations",
    ],
    rows=[["$a_1$", "$a_2$"], ["of a", "of b"], ["k = 1", "k = 2"]],
    columns=[["$b_1$", "$b_2$"], ["1", "2"], [r"$\hat\rho_k$"]],
    pattern="{:.2f}",
)
plots.show(
    fig,
    f"CCA of the toy pair, n = {len(a)} examples. No randomness. Weights are those of the original, "
    "not the standardised neurons, and their common sign is free.",
    "Three small matrices. Single neurons are correlated at most one half. The weights of a are "
    "equal, those of b are equal with opposite signs. The canonical correlations are 1 and 0.",
)

# %% [markdown]
# No two single neurons correlate by more than one half. The weights are equal for $a_1$ and $a_2$, and
# equal with opposite signs for $b_1$ and $b_2$, just as we found by eye.
#
# ## One decomposition solves it: Eq. (2)
#
# Write $C_a$ and $C_b$ for the covariance matrices of the two layers, and $C_{a,b}$ for the covariances
# between them. Set $u = C_a^{1/2} w_a$ and $v = C_b^{1/2} w_b$. Then the constraints say that all the
# $u$ are orthonormal (of length 1, and at right angles to each other), and so are all the $v$. The
# objective becomes $u^\top C_a^{-1/2} C_{a,b}\, C_b^{-1/2} v$. This is the problem that a singular value
# decomposition solves:
#
# $$
# C_a^{-1/2}\, C_{a,b}\, C_b^{-1/2} = U S V^\top .
# \tag{2}
# $$
#
# The canonical correlations are the singular values, on the diagonal of $S$. The canonical weights are
#
# $$
# w_a = C_a^{-1/2} U, \quad w_b = C_b^{-1/2} V .
# $$
#
# The paper prints $U^\top S V$ in Eq. (2). That is a slip: the same section takes the singular vectors
# from the columns of $U$ and $V$, as they are written here.
#
# ## A planted signal comes back
#
# Four examples cannot show noise. So we hide three signals with known correlations in a thousand
# examples. Each layer holds a noisy copy of every signal and pure noise besides, all of it mixed by a
# random matrix. No single neuron gives a signal away.

# %%
n, p, planted = 1000, 20, np.array([0.9, 0.7, 0.5])
share = np.concatenate([planted, np.zeros(p - len(planted))]) ** 0.5
signal, noise_a, noise_b = random.normal(size=(3, n, p))
mix_a, mix_b = random.normal(size=(2, p, p))
planted_a = (share * signal + (1 - share**2) ** 0.5 * noise_a) @ mix_a
planted_b = (share * signal + (1 - share**2) ** 0.5 * noise_b) @ mix_b
found = cca(planted_a, planted_b)

# %% tags=["hide-input"]
single = correlation(planted_a, planted_b).abs()
i, j = divmod(int(single.argmax()), p)
za, zb = ((m - m.mean(0)) / m.std(0, ddof=1) for m in (planted_a, planted_b))
za, zb = za @ found.weights_a.numpy(), zb @ found.weights_b.numpy()
fig = plots.scatters(
    [(planted_a[:, i], planted_b[:, j]), (za[:, 0], zb[:, 0]), (za[:, p - 1], zb[:, p - 1])],
    [
        f"best two neurons\ncorrelation {correlation(planted_a, planted_b)[i, j]:.2f}",
        f"first component\ncorrelation {found.correlations[0]:.2f}",
        f"last component\ncorrelation {found.correlations[-1]:.2f}",
    ],
    [f"neuron {i + 1} of a", "$z_a^1$", f"$z_a^{{{p}}}$"],
    [f"neuron {j + 1} of b", "$z_b^1$", f"$z_b^{{{p}}}$"],
)
plots.show(
    fig,
    f"Planted signals, {p} neurons in each layer, n = {n:,} random examples, seed {seed}. Each dot is "
    "one example.",
    "Three scatter plots. The best two neurons give a loose cloud, the first canonical component a "
    "narrow diagonal one, the last a round one.",
)
plots.table(
    pd.DataFrame(
        {
            "component": range(1, 7),
            "planted": [f"{r:.2f}" for r in planted] + ["0.00"] * (6 - len(planted)),
            "found": [f"{r:.2f}" for r in found.correlations[:6]],
        }
    ),
    f"Canonical correlations, planted and found (n = {n:,}, seed {seed}; the first six of {p}).",
)

# %% [markdown]
# The planted correlations come back. But look at the components after the third. Nothing was planted
# there, and yet CCA reports correlations well above 0. It *maximises*, so it always finds something in
# noise. Below we return to this, because it decides how far CCA can be trusted.
#
# ### Are the constraints kept?
#
# Within each layer the variates should be uncorrelated and have variance 1. Between the layers each
# should be correlated with its partner only. In matrices: $w_a^\top C_a w_a = I$,
# $w_b^\top C_b w_b = I$ and $w_a^\top C_{a,b}\, w_b = \operatorname{diag}(\hat\rho)$.

# %%
inside_a = found.weights_a.T @ correlation(planted_a) @ found.weights_a
inside_b = found.weights_b.T @ correlation(planted_b) @ found.weights_b
across = found.weights_a.T @ correlation(planted_a, planted_b) @ found.weights_b
identity = torch.eye(p, dtype=torch.float64)
gaps = {
    "within a": inside_a - identity,
    "within b": inside_b - identity,
    "between a and b": across - found.correlations.diag(),
}

# %% tags=["hide-input"]
plots.table(
    pd.DataFrame(
        {
            "constraint": gaps.keys(),
            "largest violation": [f"{gap.abs().max():.0e}" for gap in gaps.values()],
        }
    ),
    f"How far an entry of the three matrices is from what it should be (n = {n:,}, p = {p}, seed "
    f"{seed}). All of it is rounding.",
)

# %% [markdown]
# ## Two trained layers
#
# Now the real pair: two networks of the same architecture, trained on the same examples from different
# random weights. Their layers are compared on the validation set.

# %%
(theta_a, _), (theta_b, _) = train_parents(config, (0, 1))
data = load_data(dataset)
x, _ = data.split("validation")
[pair] = layer_pairs(theta_a, theta_b, x)
plain = cca_of_pair(pair)

# %% tags=["hide-input"]
where = f"{data.name}, n = {pair.n:,} validation examples, seed {seed}"
plots.table(
    pd.DataFrame(
        {
            "network": ["a", "b"],
            "neurons": pair.sizes,
            "dead": [int((scale == 0).sum()) for scale in (pair.scale_a, pair.scale_b)],
            "rank kept": plain.ranks,
            "largest weight of a dead neuron": [
                f"{w[scale == 0].abs().max() if (scale == 0).any() else 0:.0e}"
                for w, scale in ((plain.weights_a, pair.scale_a), (plain.weights_b, pair.scale_b))
            ],
        }
    ),
    f"The two layers and the rank of their covariances ({where}).",
)

# %% [markdown]
# A dead neuron does not vary. Its row and column in $C_a$ are zero, and $C_a^{-1/2}$ does not exist. The
# same happens if a neuron is an exact mixture of others, and whenever there are fewer examples than
# neurons. The package therefore takes the inverse root only on those directions in which the layer
# varies. Their number is the *rank*. Dead neurons get the weight 0, up to rounding.
#
# ### Three kinds of CCA
#
# The paper names two remedies against noise, and its results use both.
#
# **SVCCA** ([Raghu et al., 2017](https://arxiv.org/abs/1706.05806)) first reduces each layer to its
# *principal directions*, the directions in which it varies most, and runs CCA on these. Directions in
# which a layer varies little are most likely to be noise. They never enter.
#
# **Ridge CCA** ([Vinod, 1976](https://doi.org/10.1016/0304-4076%2876%2990010-5)) keeps all directions,
# but makes large weights costly. Its constraint replaces the first one of Eq. (1):
#
# $$
# \begin{aligned}
# (w_a^k)^\top C_a\, w_a^k + \lambda \lVert w_a^k \rVert_2^2 &= 1, \\
# (w_b^k)^\top C_b\, w_b^k + \lambda \lVert w_b^k \rVert_2^2 &= 1 .
# \end{aligned}
# $$
#
# A direction in which the layer varies little needs large weights to have any effect. So this too holds
# such directions back, but gradually, where SVCCA cuts. In Eq. (2), $C_a$ becomes $C_a + \lambda I$.

# %%
kinds = {
    "plain CCA": {},
    f"SVCCA, {directions} directions": {"directions": min(directions, *pair.sizes)},
    f"ridge CCA, λ = {ridge:g}": {"ridge": ridge},
}
results = {name: cca_of_pair(pair, **options) for name, options in kinds.items()}

# %% tags=["hide-input"]
fig = plots.lines(
    {name: (range(1, len(r.correlations) + 1), r.correlations) for name, r in results.items()},
    "component k",
    "canonical correlation",
)
plots.show(
    fig,
    f"Canonical correlations of two trained layers under three kinds of CCA. {where}. One pair; "
    "there is no shading.",
    "Three falling curves. Plain CCA stays close to 1 for a long stretch. SVCCA ends at its number of "
    "directions. Ridge CCA falls much earlier.",
)

# %% [markdown]
# Plain CCA says that the two layers share a great many mixtures almost perfectly. Ridge CCA says
# otherwise. Who is right? The curves alone cannot tell. With a ridge, $\hat\rho_k$ is not even a
# correlation any more but the value of a penalised problem. We need a judge who took no part.
#
# ### What an affine map changes
#
# Plain CCA does not depend on how a layer is written down. Replace $L_a$ by $L_a M + c$, with any
# invertible matrix $M$ and any shift $c$ (an *affine map*): the weights change, but the correlations do
# not. That is why CCA can compare layers of different widths and depths. SVCCA and ridge give up some of
# this. Both ask in which directions a layer varies much, and a map can change that. Here $M$ is a random
# matrix.

# %%
moved = planted_a @ random.normal(size=(p, p)) + random.normal(size=p)
small = {"plain": {}, "SVCCA, 10": {"directions": 10}, "ridge": {"ridge": ridge}}
before, after = (
    {kind: cca(view, planted_b, **small[kind]).correlations for kind in small}
    for view in (planted_a, moved)
)

# %% tags=["hide-input"]
plots.table(
    pd.DataFrame(
        {
            "kind": small.keys(),
            "largest change of a canonical correlation": [
                f"{(before[name] - after[name]).abs().max():.1e}" for name in small
            ],
        }
    ),
    f"The planted layer a, before and after a random affine map (n = {n:,}, p = {p}, seed {seed}; "
    f"SVCCA with 10 directions, ridge with λ = {ridge:g}).",
)

# %% [markdown]
# ## When not to believe it
#
# Give CCA two layers of pure, independent noise. Every true correlation is 0. What does it find?

# %%
q = 100  # neurons of each noise layer
sizes = [2 * q, 3 * q, 5 * q, 20 * q, 100 * q]
noises = {m: LayerPair(*random.normal(size=(2, m, q))) for m in sizes}
noise_plain = {m: cca_of_pair(noise) for m, noise in noises.items()}

# %% tags=["hide-input"]
fig = plots.lines(
    {f"n = {m:,}": (range(1, q + 1), r.correlations) for m, r in noise_plain.items()},
    "component k",
    "canonical correlation",
)
plots.show(
    fig,
    f"Plain CCA of two layers of {q} neurons of independent noise, for different numbers n of "
    f"examples, seed {seed}. All true correlations are 0; there is no shading.",
    "Five falling curves. With few examples they begin at or near 1; the more examples, the lower "
    "they lie. None is at 0.",
)

# %% [markdown]
# With twice as many examples as neurons, the first canonical correlation of pure noise is as good as
# perfect. It falls only slowly as examples are added. So a canonical correlation says nothing until we
# know how many examples there were for each neuron. This is the overfitting that the paper warns of.
#
# There are four ways to protect oneself:
#
# - **SVCCA**: fewer directions leave less to fit.
# - **Ridge**: smaller weights.
# - **Held-out examples**: take the weights from one half of the examples, and measure on the other.
# - **A test**: ask whether correlations as large as these could come from noise.
#
# The third is the judge that we were looking for. Its function is short: scale the new examples as the
# old ones were scaled, apply the old weights, and correlate. (The old means may be left out: a shift
# does not change a correlation.)


# %%
def on_new_examples(result, fitted, la, lb):
    """Return the correlation of each pair of canonical variates on new examples."""
    scale_a = torch.where(fitted.scale_a > 0, fitted.scale_a, 1.0)
    scale_b = torch.where(fitted.scale_b > 0, fitted.scale_b, 1.0)
    za, zb = (la / scale_a) @ result.weights_a, (lb / scale_b) @ result.weights_b
    return correlation(za, zb).diagonal()


# %% [markdown]
# The fourth is Bartlett's test. It supposes that the first $k$ correlations are real, and asks whether
# all the others could be 0. [Bartlett (1941)](https://doi.org/10.1093/biomet/32.1.29) found a number
# $\chi^2_k$ which in that case follows a known distribution, the chi-squared one. In the form of
# [Lawley (1959)](https://doi.org/10.1093/biomet/46.1-2.59), for $k = 0, 1, \dots$,
#
# $$
# \begin{aligned}
# \chi^2_k &= - m_k \sum_{i > k} \ln\!\big(1 - \hat\rho_i^2\big), \\
# m_k &= n - 1 - k - \tfrac12 (p + q + 1) + \sum_{i \le k} \hat\rho_i^{-2},
# \end{aligned}
# $$
#
# with $(p - k)(q - k)$ degrees of freedom, the number that selects the distribution. If $\chi^2_k$ is so
# large that noise alone would reach it in fewer than one of twenty cases (*level 0.05*), then the next
# correlation counts as **significant**, and $k$ goes up by one. The test ends at the first $k$ where it does
# not. (The paper only names the test and prints no formula.) First the noise:

# %% tags=["hide-input"]
fresh = [torch.from_numpy(view) for view in random.normal(size=(2, 5000, q))]
noise_rows = []
for m, noise in noises.items():
    for name, options in small.items():
        r = cca_of_pair(noise, **options)
        noise_rows.append(
            {
                "n": f"{m:,}",
                "kind": name,
                "as fitted": f"{r.correlations[0]:.2f}",
                "on new examples": f"{on_new_examples(r, noise, *fresh)[0]:+.2f}",
                "Bartlett": "-" if name == "ridge" else bartlett_test(r).n_significant,
            }
        )
plots.table(
    pd.DataFrame(noise_rows),
    f"Independent noise, {q} neurons a layer: every true correlation is 0. The first canonical "
    f"correlation as fitted on n examples and on {len(fresh[0]):,} new ones, and the number that "
    f"Bartlett's test calls significant at level 0.05 (it is not made for ridge). Seed {seed}.",
)

# %% [markdown]
# New examples unmask every one of these correlations. Bartlett's test allows for the number of examples.
# Where that is large it finds nothing, or next to nothing (at level 0.05 it errs in one of twenty cases).
# But look at the smallest n: there the test too takes noise for signal. The chi-squared distribution
# holds approximately, for many examples, and two or three for each neuron are not many. The test also
# assumes data from a normal distribution. This noise is, but responses of ReLU neurons are far from it.
#
# ### The judge on the trained pair
#
# Now the same for the two networks. The weights come from training examples, once from few and once from
# more of them. The verdict comes from the validation set. (The networks have seen the training examples
# before. What matters is that the canonical weights have not seen the others.)

# %%
x_train, _ = data.split("train")
new = pair.la.double(), pair.lb.double()
fits = {}
for per_neuron in (2, 8):
    [fitted] = layer_pairs(theta_a, theta_b, x_train[: per_neuron * width])
    for name, options in kinds.items():
        r = cca_of_pair(fitted, **options)
        fits[fitted.n, name] = r.correlations, on_new_examples(r, fitted, *new)

# %% tags=["hide-input"]
panels = {}
for (m, name), curves in fits.items():
    panels.setdefault(f"weights from {m:,} examples", {})[name] = curves
fig = plots.fitted_and_new(panels)
plots.show(
    fig,
    f"Lines: canonical correlations as fitted on training examples of {data.name}. Dots: the correlation "
    f"of the same variates on n = {pair.n:,} validation examples, one dot a component. Seed {seed}, one "
    "pair; there is no shading.",
    "Two panels with three falling lines and a cloud of dots for each. On the left the dots of plain "
    "CCA lie far below their line; on the right they are closer. Dots of ridge CCA lie on or above "
    "its line.",
)
rows = [
    {
        "n": f"{m:,}",
        "kind": name,
        "mean, fitted": f"{fit.mean():.2f}",
        "mean, new": f"{judged.mean():.2f}",
        "above 0.7, fitted": int((fit > 0.7).sum()),
        "above 0.7, new": int((judged > 0.7).sum()),
    }
    for (m, name), (fit, judged) in fits.items()
]
plots.table(
    pd.DataFrame(rows),
    f"Canonical correlations fitted on n training examples, and measured on the {pair.n:,} of the "
    f"validation set: their mean, and how many are above 0.7 ({data.name}, seed {seed}).",
)

# %% [markdown]
# Compare the two counts in each row. How much of what plain CCA promises survives depends on the number
# of examples for each neuron, as it did with noise. With few of them most is lost, and SVCCA and ridge
# keep more than plain CCA does. With more of them plain CCA catches up. With a ridge the fitted value can
# even be *smaller* than the correlation on new examples, because it was never a correlation in the
# first place.
#
# The lesson for the chapters that follow: where examples are few, much of what the *weights* of late
# components describe is noise. The paper's way from canonical weights to pairs of neurons,
# Algorithm 1 of [chapter 4](04-matching.ipynb), reads every one of them.
#
# ## Measured and published
#
# Section 5.2.2 says that on MNIST CCA finds 125 statistically significant relationships in a pair, on
# average over 200 pairs, by Bartlett's test. Its safe
# crossover by CCA (SC-CCA) uses SVCCA with 256 directions on MNIST.

# %% tags=["hide-input"]
svcca = results[f"SVCCA, {directions} directions"]
try:
    significant = bartlett_test(svcca).n_significant
except ValueError:  # too few examples for the test
    significant = math.nan
counts = {
    "significant by Bartlett's test": significant,
    "canonical correlations above 0.7": int((svcca.correlations > 0.7).sum()),
}
published = 125  # Section 5.2.2
plots.table(
    pd.DataFrame(
        {
            "count": counts.keys(),
            "paper": published,
            "this pair": counts.values(),
            "ratio": [c / published for c in counts.values()],
            "within a tenth": [
                "-" if math.isnan(c) else "yes" if abs(c / published - 1) <= 0.1 else "no"
                for c in counts.values()
            ],
        }
    ),
    f"SVCCA with {len(svcca.correlations)} directions ({where}; level 0.05). Paper: MNIST, mean of 200 pairs. One "
    "pair has no interval, and only with dataset = 'mnist' is it the paper's data.",
    {"this pair": "{:.0f}", "ratio": "{:.2f}"},
)

# %% [markdown]
# The two counts are very different things, and the paper says that its figure is the first. The
# authors' notebook contains a function for the test but never calls it, and the function's formula
# differs from Lawley's. What the notebook prints is the second count. [Chapter 9](09-figure-3.ipynb)
# counts both over 200 pairs, where the question can be settled.
#
# ## In short
#
# - CCA finds the mixtures of neurons on which two layers agree. Eq. (2) solves it by one singular value
#   decomposition, and an affine map of a layer does not change its correlations.
# - It finds agreement in noise as well. What counts is the number of examples for each neuron.
# - SVCCA and ridge hold noise back, and held-out examples expose it. If examples are plenty, Bartlett's
#   test estimates how many components are more than noise.
#
# ## Exercises
#
# **1.** Two layers of $p$ and $q$ neurons are seen on $n$ examples, all of it noise. Show that if
# $n - 1 < p + q$, at least one canonical correlation is exactly 1.
#
# <details><summary>Answer</summary>
#
# Once their means are subtracted, the columns live in a space of $n - 1$ dimensions. If $p$ and $q$ are
# at most $n - 1$, the columns of *a* span $p$ of them and those of *b* span $q$, since noise is never
# collinear. Two subspaces whose dimensions add up to more than $n - 1$ have at least
# $p + q - (n - 1)$ dimensions in common. A direction in both is a mixture of *a* that equals a mixture
# of *b*. Its correlation is 1, and there is one such component for each common dimension.
#
# </details>
#
# **2.** Run this chapter with `directions = 50`, and then with `ridge = 1.0`. What happens to the
# difference between fitted and new examples?
#
# <details><summary>Answer</summary>
#
# Fewer directions bring the fitted and the new values of SVCCA closer together, at the price of fewer
# components. What is left are the directions in which both networks vary most, and these they share. A
# stronger ridge lowers the fitted values a great deal, and those on new examples much less. The first
# components hardly change, since the penalty acts on the weights of weak directions.
#
# </details>
#
# **Next:** [Compare neurons one by one](03-pairwise-correlation.ipynb)
