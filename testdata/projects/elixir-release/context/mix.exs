defmodule P do end
