"""`PromptClassifier`: its parameters, learning, and run folders."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from coopt.artifacts import Pretrained, SeenImages, load_run
from coopt.estimator.fitted import FittedClassifier
from coopt.estimator.inputs import images_of, is_grey_stack, training_images
from coopt.estimator.keep import pickled_state, run_facts, run_parameters, run_values, save_fitted
from coopt.estimator.progress import progress_of
from coopt.estimator.settings import UNSET, method_settings, training_recipe
from coopt.fit import Learned, Reporter, learn
from coopt.fit.asked import read_seed, read_shots
from coopt.fit.weights import check_weighted, read_weight
from coopt.methods import find_method, method_name
from coopt.models import VLM, load_model


class PromptClassifier(Pretrained, FittedClassifier):
    """Learns the prompt of a frozen CLIP-like model for your own classes.

    `X` is any source that `coopt.data.load_dataset` reads: a list of paths, PIL images, arrays or tensors, an array
    (N, H, W[, C]), one image (H, W, C), a column or a data frame of pandas or polars, a `datasets.Dataset`, a torch
    `Dataset`, a folder, a table file, an `ImageDataset`. `y` holds the labels where X does not: texts, numbers or truth
    values, which come back from `predict` as they were given.

    A pickle (also by joblib) of a fitted classifier holds the learned tensors and the way to load the model again, none
    of the model's weights and no training images. Unpickling loads the model from this machine and downloads nothing.

    Example:
        >>> classifier = PromptClassifier(model="builtin", method="coop", n_ctx=4, shots=16)
        >>> classifier.fit(paths, labels).predict(new_paths)  # doctest: +SKIP

    Args:
        model: name, path or loaded `VLM`.
        method: a name in `coopt.methods.METHODS`, `module:Class`, or a class that inherits from `coopt.methods.Method`.
        n_ctx, position, class_specific, ctx_init: settings of the prompt methods (see `coopt.methods.CoOp`); where they
            are not given the method or its preset decides, and a method that does not have one refuses a value.
            ``ctx_init=None`` asks for a random start.
        settings: further settings of the method, by name.
        preset: the method's settings and recipe for a protocol, by name; see `coopt methods`.
        shots: images per class to learn from; "all" or None uses all.
        seed: of shots, initial context, order and augmentation.
        epochs, lr, batch_size, views, precision: the most used parts of the recipe; None keeps the paper's.
        recipe: further parts of the recipe, by name (see `coopt.fit.Recipe`).
        task: what labels mean: a name in `coopt.tasks.TASKS`, `module:Class`, or a class that inherits from `Task`.
        task_settings: settings of the task, by name.
        class_weight: "balanced", or a map from label to what its images count in the loss.
        class_names: map or file from label to the words of the prompt; the labels themselves when None.
        device, dtype: of the model.
        n_workers: decoding processes.
        strict: make an unreadable image an error in `fit`; `predict` does so unless it is told otherwise.
        verbose: show progress: bars in a terminal or a notebook, lines elsewhere.

    Attributes:
        classes_: the labels, in the order of `predict_proba`'s columns.
        class_names_: the words that the prompt uses for them.
        method_: the trained method.
        predictor_: what predicts with it: a module from inputs to logits.
        vlm_: the loaded model.
        learned_: what was learned from what (`coopt.fit.Learned`); None after `load` and in a pickle.
        seen_: the images that were trained on, by their content; None where a loaded run does not say it.
    """

    def __init__(
        self,
        model: Any = "builtin",
        method: Any = "coop",
        *,
        n_ctx: Any = UNSET,
        position: Any = UNSET,
        class_specific: Any = UNSET,
        ctx_init: Any = UNSET,
        settings: Any = None,
        preset: Any = None,
        shots: Any = 16,
        seed: Any = 1,
        epochs: Any = None,
        lr: Any = None,
        batch_size: Any = None,
        views: Any = None,
        precision: Any = None,
        recipe: Any = None,
        task: Any = "classification",
        task_settings: Any = None,
        class_weight: Any = None,
        class_names: Any = None,
        device: Any = None,
        dtype: Any = None,
        n_workers: Any = 0,
        strict: Any = False,
        verbose: Any = False,
    ) -> None:
        # As scikit-learn has it, a parameter may be set to anything; `fit` checks it.
        self.model = model
        self.method = method
        self.n_ctx = n_ctx
        self.position = position
        self.class_specific = class_specific
        self.ctx_init = ctx_init
        self.settings = settings
        self.preset = preset
        self.shots = shots
        self.seed = seed
        self.epochs = epochs
        self.lr = lr
        self.batch_size = batch_size
        self.views = views
        self.precision = precision
        self.recipe = recipe
        self.task = task
        self.task_settings = task_settings
        self.class_weight = class_weight
        self.class_names = class_names
        self.device = device
        self.dtype = dtype
        self.n_workers = n_workers
        self.strict = strict
        self.verbose = verbose

    def fit(
        self,
        X: Any,  # noqa: N803
        y: Any = None,
        *,
        sample_weight: Any = None,
        unlabelled: Any = None,
        reporter: Reporter | None = None,
    ) -> "PromptClassifier":
        """Learn from images X with labels y.

        Args:
            X: images, as the class says.
            y: their labels, where X does not hold them.
            sample_weight: what each image counts in the loss; one of weight 0 is left out.
            unlabelled: images for methods that learn from unlabelled ones too.
            reporter: told about progress, in place of `verbose`.

        Raises:
            CooptError: a setting or the data cannot be used; the message says how to mend it.
        """
        method = method_name(self.method)
        kind = find_method(method)
        settings, recipe = method_settings(self), training_recipe(self)
        check_weighted(method, kind, sample_weight, self.class_weight, "sample_weight")
        options = {"class_names": self.class_names, "seed": read_seed(self.seed), "require_labels": kind.uses_shots}
        train, val, values = training_images(X, y, **options)
        weight = None if sample_weight is None else read_weight(sample_weight, len(train), "sample_weight")
        vlm = self.model if isinstance(self.model, VLM) else load_model(self.model, self.device, self.dtype)
        with progress_of(self.verbose, reporter) as told:
            learned = learn(
                vlm,
                train,
                val=val,
                unlabelled=None if unlabelled is None else images_of(unlabelled),
                method=method,
                settings=settings,
                preset=self.preset,
                task=self.task,
                task_settings=self.task_settings,
                shots=read_shots(self.shots),
                seed=read_seed(self.seed),
                recipe=recipe,
                weight=weight,
                class_weight=self.class_weight,
                n_workers=int(self.n_workers),
                strict=self.strict,
                reporter=told,
            )
        self.learned_: Learned | None = learned
        self.seen_: SeenImages | None = learned.seen()
        self._image_bits = train.image_bits
        self._take(learned.method, values, stacked=is_grey_stack(X))
        return self

    def save(self, folder: Path | str, *, overwrite: bool = False) -> Path:
        """Write a run folder (see `coopt.artifacts`); a classifier that was loaded can be saved again."""
        self._check_fitted("there is nothing to save")
        return save_fitted(self, folder, overwrite=overwrite)

    @classmethod
    def load(
        cls,
        folder: Path | str,
        *,
        model: str | VLM | None = None,
        device: str | None = None,
        revision: str | None = None,
        trust_code: bool = False,
    ) -> "PromptClassifier":
        """A fitted classifier from a run folder; a clone of it trains the same method on other images.

        Args:
            folder: what `save` or `coopt fit` wrote, or OWNER/NAME of a run on the Hugging Face hub.
            model: the base model, where it lies elsewhere than the run says; checked to be the same weights.
            device: where to put it.
            revision: branch, tag or commit of a run on the hub.
            trust_code: leave to import a method or task from outside the package that the run names.
        """
        run = load_run(folder, revision=revision, trust_code=trust_code)
        vlm = model if isinstance(model, VLM) else run.load_vlm(device, model=model)
        classifier = cls(**run_parameters(run, vlm, model, device))
        classifier.learned_, classifier._facts, classifier.seen_ = None, run_facts(run), run.images
        classifier._image_bits = run.image_bits
        classifier._take(run.build(vlm), run_values(run.config, run.task.class_labels))
        return classifier

    def __getstate__(self) -> dict[str, Any]:
        return pickled_state(self.__dict__, self)

    def __setstate__(self, state: Mapping[str, Any]) -> None:
        self.__dict__.update(state)
        if "method_" in state:
            self.learned_, self.vlm_, self.predictor_ = None, self.method_.vlm, self.method_.predictor()
