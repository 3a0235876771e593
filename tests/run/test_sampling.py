"""What a training draws: functions of the seed and the number, of the sizes asked for."""

import numpy as np
import pytest

from jaxloc.errors import UsageError
from jaxloc.run.sampling import Episodes, Groups, shuffled_batch

TARGETS = np.array([0, 0, 0, 1, 1, 1, 2, 2, 2, 2, -1, 3, 3, 3])


def test_an_episode_has_exemplars_and_other_images_of_its_classes():
    episodes = Episodes(TARGETS, ways=3, shots=1, queries=2, seed=4)
    drawn = [episodes.draw(number) for number in range(20)]
    for one in drawn:
        assert (one.exemplars.shape, one.queries.shape) == ((3, 1), (3, 2))
        assert len(set(one.classes.tolist())) == 3
        np.testing.assert_array_equal(TARGETS[one.exemplars], one.classes[:, None])
        np.testing.assert_array_equal(TARGETS[one.queries], np.repeat(one.classes[:, None], 2, 1))
        assert not set(one.exemplars.ravel().tolist()) & set(one.queries.ravel().tolist())
    assert {int(one) for episode in drawn for one in episode.classes} == {0, 1, 2, 3}
    again = Episodes(TARGETS, ways=3, shots=1, queries=2, seed=4).draw(7)
    np.testing.assert_array_equal(again.queries, drawn[7].queries)
    other = [Episodes(TARGETS, ways=3, shots=1, queries=2, seed=4, stream=1).draw(n).queries for n in range(20)]
    assert any((a != b.queries).any() for a, b in zip(other, drawn, strict=True))


def test_too_few_classes_or_images_are_refused():
    with pytest.raises(UsageError, match=r"5 ways need 5 classes, and there are 4: lower --ways"):
        Episodes(TARGETS, ways=5, shots=1, queries=1)
    with pytest.raises(UsageError, match="2 shots and 2 queries need 4 images of each class, and one has 3"):
        Episodes(TARGETS, ways=2, shots=2, queries=2)


def test_half_of_a_group_s_negatives_share_its_coarse_class():
    coarse = np.array([0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1, 1, 1])
    groups = Groups(TARGETS, positives=5, negatives=4, coarse=coarse, seed=1)
    for number in range(20):
        positives, negatives = groups.draw(number)
        (chosen,) = set(TARGETS[positives].tolist())
        assert len(positives) == 5
        assert len(set(positives.tolist())) == min(5, (chosen == TARGETS).sum())
        assert (TARGETS[negatives] != chosen).all()
        assert (TARGETS[negatives] >= 0).all()
        assert (coarse[negatives[:2]] == coarse[positives[0]]).all()
    with pytest.raises(UsageError, match="groups need two classes"):
        Groups(np.zeros(5, int), positives=2, negatives=2)


def test_batches_pass_over_all_images_again_and_again():
    drawn = np.concatenate([shuffled_batch(range(5), 3, number, seed=0) for number in range(10)])
    for one in drawn.reshape(6, 5):
        assert sorted(one.tolist()) == [0, 1, 2, 3, 4]
    assert len({tuple(one) for one in drawn.reshape(6, 5).tolist()}) > 3
