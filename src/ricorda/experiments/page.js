// The charts of an experiment's page.
import { drawDescribed } from "./chart.js";

drawDescribed();
