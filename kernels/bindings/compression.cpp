// Compression: symbols to code, and back.
#include <mutex>

#include "adaptive_reader.hpp"
#include "bindings/bindings.hpp"
#include "mixing/codec.hpp"
#include "mixing/fresh_network.hpp"

namespace ricorda {
namespace {

using mixing::NetworkReader;
using mixing::PredictorSettings;

// A trained network that learns while it reads. Python's object stays alive with it.
class TrainedNetwork : public NetworkReader {
 public:
  TrainedNetwork(nb::object object, Id start)
      : object_(std::move(object)), reader_(&adaptive_reader_of(object_)), last_(start) {}
  const float* predict() override { return reader_->predict(last_, 0); }
  void observe(Id symbol) override {
    reader_->observe(symbol);
    last_ = symbol;
  }
  int size() const { return reader_->shape().vocabulary_size; }

 private:
  nb::object object_;
  AdaptiveReader* reader_;
  Id last_;
};

struct Opened {
  PredictorSettings settings;
  std::unique_ptr<NetworkReader> network;
};

Opened open(const nb::kwargs& given) {
  Fields fields(given);
  Opened opened;
  PredictorSettings& settings = opened.settings;
  const auto letters = fields.required<Input<Id, 1>>("letters");
  settings.vocabulary_size = int(letters.size());
  check(letters.size() >= 1 && letters.size() <= 1 << 24, "letters must have 1 to 2^24 elements");
  settings.letters.assign(letters.data(), letters.data() + letters.size());
  fields.read("table_bits", settings.table_bits);
  check(settings.table_bits >= 4 && settings.table_bits <= 24, "table_bits must be from 4 to 24");
  const int fresh = fields.optional("fresh_units", 0);
  const int threads = fields.optional("threads", 1);
  const auto kernels = fields.optional<std::string>("kernels", "");
  const Id start = fields.optional<Id>("start", 0);
  nb::object trained = nb::none();
  fields.read("network", trained);
  fields.refuse_others();
  check(fresh >= 0 && fresh <= 4096, "fresh_units must be from 0 to 4096");
  if (!trained.is_none()) {
    auto network = std::make_unique<TrainedNetwork>(std::move(trained), start);
    settings.network_size = network->size();
    settings.trusts_network = true;
    check(network->size() <= settings.vocabulary_size, "letters must cover the network's symbols");
    check_ids("start", &start, 1, network->size());
    opened.network = std::move(network);
  } else if (fresh > 0) {
    settings.network_size = settings.vocabulary_size;
    opened.network = std::make_unique<mixing::FreshNetwork>(
        mixing::FreshSettings{.vocabulary_size = settings.vocabulary_size, .hidden_size = fresh},
        choose_exact_set(kernels), threads);
  }
  return opened;
}

class BoundEncoder {
 public:
  explicit BoundEncoder(const nb::kwargs& given) {
    Opened opened = open(given);
    encoder_ = std::make_unique<mixing::SymbolEncoder>(opened.settings, std::move(opened.network));
  }

  nb::bytes encode(const Input<Id, 1>& symbols) {
    check_ids("symbols", symbols.data(), symbols.size(), encoder_->vocabulary_size());
    return as_bytes(without_gil([&] {
      const std::lock_guard lock(mutex_);
      encoder_->encode(symbols.data(), symbols.size());
      return encoder_->take_bytes();
    }));
  }
  nb::bytes finish() {
    encoder_->finish();
    return as_bytes(encoder_->take_bytes());
  }
  double probability(Id symbol) {
    check_ids("symbol", &symbol, 1, encoder_->vocabulary_size());
    return encoder_->probability(symbol);
  }

 private:
  static nb::bytes as_bytes(const std::string& bytes) {
    return nb::bytes(bytes.data(), bytes.size());
  }

  std::unique_ptr<mixing::SymbolEncoder> encoder_;
  std::mutex mutex_;
};

class BoundDecoder {
 public:
  explicit BoundDecoder(const nb::kwargs& given) {
    Opened opened = open(given);
    decoder_ = std::make_unique<mixing::SymbolDecoder>(opened.settings, std::move(opened.network));
  }

  Output<Id> decode(const nb::bytes& code, std::size_t most, bool last) {
    std::vector<Id> symbols(most);
    const char* bytes = code.c_str();
    const std::size_t size = code.size();
    const std::size_t count = without_gil([&] {
      const std::lock_guard lock(mutex_);
      decoder_->feed(bytes, size, last);
      return decoder_->decode(symbols.data(), most);
    });
    NewArray<Id> result({count});
    std::copy_n(symbols.data(), count, result.elements.get());
    return result.to_python();
  }
  bool is_exhausted() const { return decoder_->is_exhausted(); }

 private:
  std::unique_ptr<mixing::SymbolDecoder> decoder_;
  std::mutex mutex_;
};

template <class Bound>
void make(Bound* self, const nb::kwargs& given) {
  new (self) Bound(given);
}

}  // namespace

void bind_compression(nb::module_& module) {
  constexpr const char* signature =
      "def __init__(self, *, letters: numpy.typing.NDArray[numpy.uint32], table_bits: int = 18, "
      "network: AdaptiveReader | None = None, start: int = 0, fresh_units: int = 0, "
      "threads: int = 1, kernels: str = '') -> None";
  nb::class_<BoundEncoder>(module, "SymbolEncoder",
                           "Encodes symbols by predictions that learn from those before.")
      .def(
          "__init__", &make<BoundEncoder>, nb::sig(signature),
          "letters (V,): of each symbol 0, or for a letter a number that both cases share.\n\n"
          "table_bits: the tables have 2 to this power buckets of 64 bytes. network: predicts the\n"
          "first symbols of the vocabulary, and reads `start` first. fresh_units: without one, "
          "the\n"
          "units of a network that learns from nothing; 0: none.")
      .def("encode", &BoundEncoder::encode, "symbols"_a.noconvert(),
           "Encode symbols (n,); returns the code that is complete.")
      .def("finish", &BoundEncoder::finish, "Return the rest of the code.")
      .def("probability", &BoundEncoder::probability, "symbol"_a,
           "The probability of a next symbol, which is not encoded.");
  nb::class_<BoundDecoder>(module, "SymbolDecoder", "Decodes what a SymbolEncoder encoded.")
      .def("__init__", &make<BoundDecoder>, nb::sig(signature), "Take the settings of the encoder.")
      .def("decode", &BoundDecoder::decode, "code"_a, "most"_a, "last"_a = false,
           "Decode symbols (n,), at most `most`, for as long as the code suffices.\n\n"
           "last: no more code will come.")
      .def_prop_ro("is_exhausted", &BoundDecoder::is_exhausted,
                   "Whether the code that was given is exactly that of the symbols.");
}

}  // namespace ricorda
