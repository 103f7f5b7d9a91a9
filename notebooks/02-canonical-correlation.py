# %% [markdown]
# # Find what two layers have in common
#
# - **You will** meet canonical correlation analysis (CCA), solve it by hand on four examples, run it
#   on two trained layers, and learn when not to believe it.
# - **You need** the matrices $L_a$ and $L_b$ of [chapter 1](01-activations.ipynb), and to have heard
#   of the singular value decomposition.
# - **Runtime:** seconds with the default parameters, minutes on all of MNIST. Most of it goes into
#   training two networks.
#
# This chapter covers Section 3.2 of {cite:t}`uriot2020safe`: Eq. (1) and Eq. (2), SVCCA and ridge,
# and Bartlett's test, which Section 5.2.2 uses.

# %% tags=["parameters"]
dataset = "mnist5k"  # a known data set, or the path of an .npz file
epochs = 20  # passes over the training images, for both networks
width = 512  # neurons in the hidden layer, as in the paper
seed = 0  # of both networks, and of the planted and random data
directions = 256  # principal directions kept by SVCCA; the paper's choice on MNIST
ridge = 0.1  # penalty lambda, the middle one of the paper's .01, .1 and 1

# %% tags=["hide-input"]
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
    plots,
)
from safecross.config import Config
from safecross.experiment import train_parents

config = Config(dataset, (width,), epochs, n_pairs=1, operators=("naive",), seed=seed)
random = np.random.default_rng(seed)

# %% [markdown]
# ## The question
#
# Two networks have learned the same task. Does the second one *contain* what the first one knows?
# Comparing neurons one by one may miss it. What one network holds in a single neuron, the other may
# spread over ten, and mixtures of neurons are all that the next layer reads anyway.
#
# So let us ask about mixtures. Take a weighted sum of the neurons of *a*, $z_a = L_a w_a$, and one of
# the neurons of *b*, $z_b = L_b w_b$. Both are lists of $n$ numbers, one for each example. **CCA finds
# the weights for which the two lists are most correlated.** Then it looks for the second best pair
# of mixtures, uncorrelated with the first, and so on. The columns of both matrices are standardised
# first: mean zero, variance one.
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
# \lVert z_a^k \rVert_2 = \lVert z_b^k \rVert_2 = 1, \qquad
# \langle z_a^k, z_a^r \rangle = \langle z_b^k, z_b^r \rangle = 0 \quad \text{for } r < k .
# $$
#
# The words that go with it: $w_a^k$ and $w_b^k$ are the $k$-th *canonical weights*, $z_a^k$ and
# $z_b^k$ the *canonical variates*, and $\hat\rho_k$ is the $k$-th *canonical correlation*. It lies
# between 0 and 1, since a negative one turns positive with the sign of $w_b^k$. CCA goes back to
# {cite:t}`hotelling1936relations`; {cite:t}`uurtio2017tutorial` is a good tutorial.
#
# One point of scale. The paper asks for variates of length 1; the package gives them variance 1. The
# weights differ by the factor $\sqrt{n-1}$, the same for all neurons, and nothing else does.
#
# ## By hand: four examples
#
# Let a signal $s$ and two nuisances $u$ and $v$ take these values on four examples. They have mean
# zero, and each is uncorrelated with the others:
#
# $$
# s = (1, 1, -1, -1), \qquad u = (1, -1, 1, -1), \qquad v = (1, -1, -1, 1).
# $$
#
# Network *a* has two neurons, $a_1 = s + u$ and $a_2 = s - u$. Network *b* has $b_1 = s + v$ and
# $b_2 = v$. No neuron of *a* equals a neuron of *b*. But look: $a_1 + a_2 = 2s$ and $b_1 - b_2 = s$.
# Both networks know $s$ perfectly, and both have it only in a mixture. CCA should find a canonical
# correlation of 1 from these weights, and have nothing left for the second.

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
# The best single neurons are correlated at one half. The weights are equal for $a_1$ and $a_2$, and
# equal but of opposite signs for $b_1$ and $b_2$, just as we found by eye.
#
# ## The solution: Eq. (2)
#
# Write $C_a$ and $C_b$ for the covariances of the two layers and $C_{a,b}$ for the covariance between
# them. With $u = C_a^{1/2} w_a$ and $v = C_b^{1/2} w_b$ the constraints say that all the $u$ are
# orthonormal, and so are all the $v$; the objective becomes
# $u^\top C_a^{-1/2} C_{a,b}\, C_b^{-1/2} v$. That is the problem which a singular value decomposition
# solves:
#
# $$
# C_a^{-1/2}\, C_{a,b}\, C_b^{-1/2} = U S V^\top, \qquad
# w_a = C_a^{-1/2} U, \quad w_b = C_b^{-1/2} V
# \tag{2}
# $$
#
# and the canonical correlations are the singular values on the diagonal of $S$. The paper prints
# $U^\top S V$ in Eq. (2). That is a slip: the next line of the same section takes the singular
# vectors from the columns of $U$ and $V$, as it is written here.
#
# ## A planted signal
#
# Four examples cannot show noise. So we plant three signals in a thousand examples, with known
# correlations, and hide them. Each layer holds a noisy copy of every signal and pure noise besides,
# all of it mixed by a random matrix. No single neuron gives a signal away.

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
# there, and yet CCA reports correlations well above 0. It *maximises*, so that it always finds
# something in noise. We return to this below, because it decides how far CCA can be trusted.
#
# ### Are the constraints kept?
#
# The variates should be uncorrelated within each layer and have variance 1, and between the layers
# each should be correlated with its partner only. In matrices: $w_a^\top C_a w_a = I$,
# $w_b^\top C_b w_b = I$ and $w_a^\top C_{a,b}\, w_b = \operatorname{diag}(\hat\rho)$.

# %%
inside_a = found.weights_a.T @ correlation(planted_a) @ found.weights_a
inside_b = found.weights_b.T @ correlation(planted_b) @ found.weights_b
across = found.weights_a.T @ correlation(planted_a, planted_b) @ found.weights_b
identity = torch.eye(p, dtype=torch.float64)
for name, gap in {
    "within a": inside_a - identity,
    "within b": inside_b - identity,
    "between": across - found.correlations.diag(),
}.items():
    print(f"largest violation {name}: {gap.abs().max():.0e}")

# %% [markdown]
# All of it is rounding.
#
# ## Two trained layers
#
# Now the real pair: two networks with the same architecture and the same training images, from
# different random weights. Their layers are compared on the validation images.

# %%
(theta_a, _), (theta_b, _) = train_parents(config, (0, 1))
data = load_data(dataset)
x, _ = data.split("validation")
[pair] = layer_pairs(theta_a, theta_b, x)
plain = cca_of_pair(pair)

# %% tags=["hide-input"]
where = f"{data.name}, n = {pair.n:,} validation images, seed {seed}"
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
# A dead neuron has no variance, so its row and column in $C_a$ are zero and $C_a^{-1/2}$ does not
# exist. The same happens with neurons that are exact mixtures of others, and whenever there are fewer
# examples than neurons. The package therefore takes the inverse root on the directions that have
# variance only, and dead neurons get the weight 0, up to rounding. The number of directions kept is the *rank*.
#
# ### Three kinds of CCA
#
# The paper names two remedies against noise, and its results use both.
#
# **SVCCA** {cite:p}`raghu2017svcca` first reduces each layer to its first principal directions, those
# in which it varies most, and runs CCA on these. Directions of small variance, where noise is most
# likely to sit, never enter.
#
# **Ridge CCA** {cite:p}`vinod1976canonical` keeps all directions, but makes large weights costly. Its
# constraint replaces the first one of Eq. (1):
#
# $$
# (w_a^k)^\top C_a\, w_a^k + \lambda \lVert w_a^k \rVert_2^2 = 1, \qquad
# (w_b^k)^\top C_b\, w_b^k + \lambda \lVert w_b^k \rVert_2^2 = 1 .
# $$
#
# A direction of small variance needs large weights to have any effect, so this too holds back what
# varies little, gradually instead of at a cut. In Eq. (2), $C_a$ becomes $C_a + \lambda I$.

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
# Plain CCA says that a great many mixtures are shared almost perfectly. The ridge says otherwise. Who
# is right? The curves alone cannot tell. With a ridge the number $\hat\rho_k$ is not even a
# correlation any more but the value of a penalised problem. We need a judge that did not take part.
#
# ### What stays the same under affine maps
#
# CCA does not depend on the coordinates of a layer: replace $L_a$ by $L_a M + c$, with any invertible
# $M$, and the weights change but the correlations do not. That is why it can compare layers of
# different widths and depths. SVCCA and ridge give some of this up, because both ask which directions
# vary a lot, and a map can change that. Here $M$ is a random matrix.

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
# perfect. It falls only slowly as examples are added. So a canonical correlation means nothing without
# the ratio of examples to neurons beside it. This is the overfitting that the paper warns of.
#
# Four ways to protect oneself:
#
# - **SVCCA**: fewer directions, so that there is less to fit.
# - **Ridge**: smaller weights.
# - **Held-out examples**: take the weights from one half of the examples, measure on the other.
# - **A test**: ask whether correlations as large as these could come from noise.
#
# The third is the judge that we were looking for. Its function is short: standardise the new examples
# with the means and deviations of the old, apply the old weights, and correlate. (A shift does not
# change a correlation, so the means can be left out.)


# %%
def on_new_examples(result, fitted, la, lb):
    """Return the correlation of each pair of canonical variates on new examples."""
    scale_a = torch.where(fitted.scale_a > 0, fitted.scale_a, 1.0)
    scale_b = torch.where(fitted.scale_b > 0, fitted.scale_b, 1.0)
    za, zb = (la / scale_a) @ result.weights_a, (lb / scale_b) @ result.weights_b
    return correlation(za, zb).diagonal()


# %% [markdown]
# For the test, suppose that the first $k$ correlations are real and ask whether all the others are 0.
# {cite:t}`bartlett1941significance` found a statistic for it which, if so, follows a chi-squared
# distribution. In the form of {cite:t}`lawley1959tests`, for $k = 0, 1, \dots$,
#
# $$
# \chi^2_k = - \Big[\, n - 1 - k - \tfrac12 (p + q + 1) + \sum_{i \le k} \hat\rho_i^{-2} \Big]
#            \sum_{i > k} \ln\!\big(1 - \hat\rho_i^2\big),
# \qquad (p - k)(q - k) \text{ degrees of freedom.}
# $$
#
# The tests go on until one does not reject; the number of rejections is the number of *significant*
# correlations. (The paper only names the test, and prints no formula.) First the noise:

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
    f"Bartlett's test calls significant at level .05 (it is not made for ridge). Seed {seed}.",
)

# %% [markdown]
# New examples unmask every one of these correlations. Bartlett's test allows for the number of
# examples, and where that is large it sees nothing, or next to nothing. (At its level it errs in one
# of twenty cases.) But look at the smallest n: there it too takes noise for signal. The chi-squared
# distribution is an approximation for many examples, and two or three for each neuron are not many.
# It also assumes normal data, which fits this noise well and the responses of ReLU neurons badly.
#
# ### The judge on the trained pair
#
# Now the same for the two networks. The weights come from training images, once from few and once
# from more of them; the verdict comes from the validation images. (The networks have seen the training
# images before. The point is that the canonical weights have not seen the others.)

# %%
x_train, _ = data.split("train")
new = pair.la.double(), pair.lb.double()
fits = {}
for images_per_neuron in (2, 8):
    [fitted] = layer_pairs(theta_a, theta_b, x_train[: images_per_neuron * width])
    for name, options in kinds.items():
        r = cca_of_pair(fitted, **options)
        fits[fitted.n, name] = r.correlations, on_new_examples(r, fitted, *new)

# %% tags=["hide-input"]
panels = {}
for (m, name), curves in fits.items():
    panels.setdefault(f"weights from {m:,} images", {})[name] = curves
fig = plots.fitted_and_new(panels)
plots.show(
    fig,
    f"Lines: canonical correlations as fitted on training images of {data.name}. Dots: the correlation "
    f"of the same variates on n = {pair.n:,} validation images, one dot a component. Seed {seed}, one "
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
        "above .7, fitted": int((fit > 0.7).sum()),
        "above .7, new": int((judged > 0.7).sum()),
    }
    for (m, name), (fit, judged) in fits.items()
]
plots.table(
    pd.DataFrame(rows),
    f"Fitted on n training images, and measured on {pair.n:,} new ones, those of the validation set "
    f"({data.name}, seed {seed}).",
)

# %% [markdown]
# Compare each row's two counts. How much of what plain CCA promises survives depends, as with the
# noise, on the number of images for each neuron. With few of them most is lost, and the remedies hold
# on to more than the method that they repair. With more of them plain CCA catches up. With the ridge
# the fitted value can even be *smaller* than the correlation on new images, because it was never a
# correlation in the first place.
#
# The lesson for the chapters that follow: where images are few, the *weights* of late components
# describe noise to a good part, and Algorithm 1 is going to read every one of them.
#
# ## Measured and published
#
# Section 5.2.2 says that on MNIST CCA finds 125 statistically significant relationships in a pair, on
# average over 200 pairs, by Bartlett's test. Its SC-CCA on MNIST is SVCCA with 256 directions.

# %% tags=["hide-input"]
svcca = results[f"SVCCA, {directions} directions"]
counts = {
    "significant by Bartlett's test": bartlett_test(svcca).n_significant,
    "canonical correlations above .7": int((svcca.correlations > 0.7).sum()),
}
published = 125  # Section 5.2.2
plots.table(
    pd.DataFrame(
        {
            "count": counts.keys(),
            "paper": published,
            "this pair": counts.values(),
            "ratio": [f"{c / published:.2f}" for c in counts.values()],
            "within a tenth": [
                "yes" if abs(c / published - 1) <= 0.1 else "no" for c in counts.values()
            ],
        }
    ),
    f"SVCCA with {directions} directions ({where}; level .05). Paper: MNIST, mean of 200 pairs. One "
    "pair has no interval, and only with dataset = 'mnist' is it the paper's data.",
)

# %% [markdown]
# The two counts are very different things, and the published figure is said to be the first. The
# authors' notebook contains a function for the test, but never calls it, and its formula differs
# from Lawley's. What the notebook prints is the second count. [Chapter 9](09-figure-3.ipynb) takes
# this up where it can be settled, over 200 pairs.
#
# ## Summary
#
# - CCA finds the mixtures of neurons on which two layers agree; Eq. (2) solves it by one singular
#   value decomposition, and affine maps of a layer change nothing.
# - It finds agreement in noise as well. What counts is the number of examples for each neuron.
# - SVCCA and ridge hold noise back, held-out examples expose it, and Bartlett's test estimates how
#   many components are more than noise, if examples are plenty.
#
# ## Exercises
#
# **1.** Two layers of $p$ and $q$ neurons are seen on $n$ examples, all of it noise. Show that if
# $n - 1 < p + q$, at least one canonical correlation is exactly 1.
#
# :::{admonition} Answer
# :class: dropdown
#
# After centring, the columns live in a space of $n - 1$ dimensions. The columns of *a* span $p$ of
# them and those of *b* span $q$ (noise is not collinear, if $p, q \le n - 1$). Two subspaces whose
# dimensions add up to more than $n - 1$ meet in at least $p + q - (n - 1)$ dimensions. A direction in
# both is a mixture of *a* that equals a mixture of *b*: correlation 1, and as many times as there are
# common dimensions.
# :::
#
# **2.** Run this chapter with `directions = 50`, and then with `ridge = 1.0`. What happens to the
# difference between fitted and new images?
#
# :::{admonition} Answer
# :class: dropdown
#
# Fewer directions bring the two columns of SVCCA closer together, at the price of fewer components:
# what is left is what both networks vary in most, and this they share. A stronger ridge lowers the
# fitted values a great deal and those on new images much less. The first components hardly notice,
# since the penalty acts on the weights of weak directions.
# :::
#
# **Next:** [chapter 3](03-pairwise-correlation.ipynb) drops the mixtures and compares neurons one by
# one.
