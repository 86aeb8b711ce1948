// The table of cells of one instruction set.
#pragma once

#include "cells/cifg.hpp"
#include "cells/gru.hpp"
#include "cells/lstm.hpp"
#include "cells/mingru.hpp"
#include "cells/minlstm.hpp"
#include "cells/rnn.hpp"

namespace ricorda::RICORDA_SET {

constexpr Cell cells[] = {rnn_tanh, rnn_relu, gru, lstm, cifg, mingru, minlstm};

}  // namespace ricorda::RICORDA_SET
