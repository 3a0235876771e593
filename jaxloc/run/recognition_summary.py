"""Recognition and fine-tuning as text for people."""

from jaxloc.report.tables import text_table
from jaxloc.report.text import reasons
from jaxloc.run.finetune import FineTuned
from jaxloc.run.recognition import Recognized


def recognition_text(done: Recognized, seconds: float) -> str:
    """Accuracy of each kind and of all, and the confusions."""
    found = done.classified.evaluation
    rows = [[item.name, item.count, item.correct, f"{100 * item.accuracy:.2f}"] for item in found.classes]
    correct = sum(item.correct for item in found.classes)
    rows.append(["all", done.test, correct, f"{100 * found.accuracy:.2f}"])
    parts = [text_table(["kind", "tested", "right", "accuracy"], rows)]
    if done.tuned is not None:
        parts.append(tuning_text(done.tuned))
    parts.append(
        f"Learnt from {done.train:,} images, tested on {done.test:,}; C = {done.classified.regularization:g}"
        + ("" if done.classified.choice is None else ", chosen by validation")
        + f"; mean over kinds {100 * found.mean_class_accuracy:.2f} %. {seconds:.1f} s. {done.classifier}"
    )
    if found.confusions:
        pairs = ", ".join(f"{item.name} as {item.predicted} ({item.count})" for item in found.confusions[:5])
        parts.append(f"Most often mixed up: {pairs}.")
    if not done.classified.converged:
        parts.append("Warning: the SVM's solver ran out of iterations; choose a smaller C with --svm-c.")
    parts += reasons("Skipped", done.skipped.items(), len(done.skipped), "evaluation.json")
    return "\n\n".join(parts)


def tuning_text(done: FineTuned) -> str:
    """The epochs of a training, and which was kept."""
    rows = [
        [
            number + 1,
            f"{epoch.loss:.4f}",
            f"{100 * epoch.accuracy:.2f}",
            "–" if epoch.validation_loss is None else f"{epoch.validation_loss:.4f}",
            "–" if epoch.validation_accuracy is None else f"{100 * epoch.validation_accuracy:.2f}",
        ]
        for number, epoch in enumerate(done.epochs)
    ]
    head = ["epoch", "loss", "accuracy", "validation loss", "validation accuracy"]
    resumed = " (resumed from a checkpoint)" if done.resumed else ""
    return f"{text_table(head, rows)}\nKept epoch {done.best + 1}{resumed}: {done.weights}"
