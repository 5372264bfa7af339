from documenting.charts.compact import compact


def test_when_a_glyph_is_used_then_its_place_is_kept_and_its_scale_untouched() -> None:
    """A rounded scale would be another size."""
    written = (
        '<g id="text_1">\n<!-- 0 -->\n'
        '<g style="fill: #000" transform="translate(196.467598 346.05) scale(0.08625 -0.08625)">\n'
        '<use xlink:href="#DejaVuSans-Bold-1f" transform="translate(63.623047 0)"/>\n</g>\n</g>\n'
    )

    assert (
        '<g style="fill: #000" transform="translate(196.5 346.1) scale(0.08625 -0.08625)">'
        '<use href="#b1f" x="64"/>\n</g>\n'
    ) == compact(written)


def test_when_groups_say_nothing_then_only_what_is_in_them_stays() -> None:
    """Also where one that says something is between them."""
    written = '<g>\n<g clip-path="url(#p1)">\n<g>\n<path d="M 1 2 z"/>\n</g>\n</g>\n</g>\n'

    assert '<g clip-path="url(#p1)">\n<path d="M1 2 z"/>\n</g>\n' == compact(written)


def test_when_a_number_is_rounded_then_zero_has_no_sign() -> None:
    """One processor's arithmetic may come out as minus zero."""
    assert '<path d="M0 1.3L0 0.2"/>\n' == compact('<path d="M -0.0000012 1.26\nL 0.001 0.24"/>')
