"""Statistics of whole images that follow slowly over the images of a video."""

from .statistics import Moments

SHARE = 0.1  # of each new image: at 25 images a second, two thirds of a change are followed in 0.4 s
CUT = (
    0.5  # of the deviation, by which the mean jumps, or of itself, by which the deviation does, where the scene changes
)


class MomentsOverTime:
    """Moments of features, each a mean of those of the images so far, the newest ones weighing most.

    They are numbers of the whole image: smoothing them steadies its tones, and leaves no trails behind what moves.
    Where they jump, the scene has changed, and they begin anew.
    """

    def __init__(self) -> None:
        self._known: dict[str, Moments] = {}

    def smoothed(self, name: str, new: Moments) -> Moments:
        """The moments to use for the next image, whose own are ``new``, of the features of this name."""
        known = self._known.get(name)
        if known is not None and not _jumps(known, new):
            # As if of one image: the means and the variances are averaged, each for itself.
            variance = (1 - SHARE) * known.squares / known.number + SHARE * new.squares / new.number
            new = Moments(new.number, (1 - SHARE) * known.mean + SHARE * new.mean, variance * new.number)
        self._known[name] = new
        return new


def _jumps(known: Moments, new: Moments) -> bool:
    before, after = ((moments.squares / moments.number).sqrt() for moments in (known, new))
    return bool((new.mean - known.mean).abs() > CUT * before or (after - before).abs() > CUT * before)
