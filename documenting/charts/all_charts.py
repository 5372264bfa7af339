"""Every chart of the benchmarks' page."""

from documenting.charts.authorizer_charts import authorizer_charts
from documenting.charts.chart import Chart
from documenting.charts.client_charts import client_charts
from documenting.charts.feed_charts import feed_charts
from documenting.charts.promises_chart import promises_chart
from documenting.charts.results import Results
from documenting.charts.sync_charts import sync_charts


def all_charts(results: Results) -> tuple[Chart, ...]:
    """Return every chart, in the page's order.

    Raises:
        ResultsError: the results have changed so that a chart cannot be made.

    """
    return (
        promises_chart(results),
        *authorizer_charts(results),
        *client_charts(results),
        *feed_charts(results),
        *sync_charts(results),
    )
