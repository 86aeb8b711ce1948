"""Looking inside a trained model: how surprised it is at each character. Without torch.

surprisal_page   a page that colours a scored text
clusters         which symbols a reader takes for one character
"""

from ricorda.insight.clusters import Cluster, clusters
from ricorda.insight.surprisal_page import surprisal_page

__all__ = ["Cluster", "clusters", "surprisal_page"]
